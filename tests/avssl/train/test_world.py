"""What a run asks of its clips before it trains: a world, and the objects in it."""

import shutil
from pathlib import Path

import pytest

import avssl.data.detect
from avssl.config import DataConfig, RunConfig, fill, read_recipe
from avssl.data.manifest import read_manifest, write_manifest
from avssl.data.objects import SCHEMA, About, Looked, objects_path, write
from avssl.scenes.synth360 import synth360
from avssl.train import probe, world
from avssl.train.pretrain import pretrain


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return synth360(tmp_path_factory.mktemp("world"), 3, 0.5, 0, width=64, workers=1, progress=False)


@pytest.fixture
def asked(monkeypatch):
    """The calls of the detector, which finds nothing."""
    calls = []

    def detect(folder: Path, model: str, *, progress: bool = True) -> Path:
        calls.append((folder, model))
        looked = {row.key: Looked(1, 0.5, 0.5) for row in read_manifest(folder)}
        path = objects_path(folder, model)
        write(path, SCHEMA.empty_table(), About(model, "viewports", 2.0, 0.25), looked)
        return path

    monkeypatch.setattr(avssl.data.detect, "detect", detect)
    return calls


def test_objects_are_looked_for_once_and_again_where_clips_were_added(rendered, tmp_path, asked):
    folder = tmp_path / "world"
    shutil.copytree(rendered.parent, folder)
    rows = read_manifest(folder).rows
    write_manifest(folder, rows[:2])
    for _ in range(2):
        world.clips(DataConfig(manifest=str(folder), detector="best.pt"), 24000, progress=False)
    assert asked == [(folder, "best.pt")]
    write_manifest(folder, rows)
    world.clips(DataConfig(manifest=str(folder / "manifest.parquet"), detector="best.pt"), 24000, progress=False)
    assert asked == [(folder, "best.pt")] * 2


def test_without_a_detector_nothing_is_looked_for(rendered, asked):
    path, manifest = world.clips(DataConfig(manifest=str(rendered)), 24000, progress=False)
    assert (path, len(manifest), asked) == (rendered, 3, [])


def test_guided_crops_without_a_detector_are_refused_before_anything_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    for wrong in ({"options": {"guide": "objects"}}, {"probe": {"guide": "objects"}}):
        config = fill(RunConfig, read_recipe("avsa/small"), wrong)
        with pytest.raises(ValueError, match="guide is objects, but no detector is named") as caught:
            pretrain(config, tmp_path / "run", progress=False)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_probe_looks_as_it_is_told_so_that_guided_runs_are_measured_like_random_ones():
    config = fill(
        RunConfig, read_recipe("avsa/small"), {"options": {"guide": "objects"}, "data": {"detector": "truth"}}
    )
    plain = probe._options(config, Path("m"))
    assert (plain.guide, plain.detector, plain.size) == ("random", "truth", 64)
    guided = probe._options(fill(RunConfig, config, {"probe": {"guide": "objects"}}), Path("m"))
    assert (guided.guide, guided.data().detector) == ("objects", "truth")
