"""What a run asks of its clips before it trains: a world, and the objects in it."""

import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import avssl.detection.detect_objects
from avssl.config import DataConfig, RunConfig, fill
from avssl.datasets.manifest import read_manifest, write_manifest
from avssl.detection.backends.load import detector_sha256
from avssl.detection.object_index import (
    SCHEMA,
    DetectedTimes,
    DetectionSettings,
    objects_path,
    read_settings,
    write_objects,
)
from avssl.recipe_files import read_recipe
from avssl.synth.synth360 import synth360
from avssl.train import data_source
from avssl.train.pretrain import pretrain
from avssl.train.resolved_run import resolve_run


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return synth360(tmp_path_factory.mktemp("synthetic_dataset"), 3, 0.5, 0, width=64, workers=1, progress=False)


@pytest.fixture
def asked(monkeypatch):
    """The calls of the detector, which finds nothing."""
    calls = []

    def detect(folder: Path, model: str, *, progress: bool = True, **settings: object) -> Path:
        calls.append((folder, model, settings))
        looked = {row.key: DetectedTimes(1, 0.5, 0.5) for row in read_manifest(folder)}
        digest = detector_sha256(model) if Path(model).exists() else "0" * 64
        path = objects_path(folder, model, digest)
        write_objects(
            path,
            SCHEMA.empty_table(),
            DetectionSettings(f"best sha256:{digest}", "equirect", 3.0, 0.5, "proxy"),
            looked,
        )
        return path

    monkeypatch.setattr(avssl.detection.detect_objects, "detect_objects", detect)
    return calls


def test_objects_are_looked_for_once_and_again_where_clips_were_added(rendered, tmp_path, asked):
    folder = tmp_path / "synthetic_dataset"
    shutil.copytree(rendered.parent, folder)
    rows = read_manifest(folder).rows
    write_manifest(folder, rows[:2])
    for _ in range(2):
        data_source.clips(DataConfig(manifest=str(folder), detector="best.pt"), 24000, progress=False)
    assert asked == [(folder, "best.pt", {})]
    write_manifest(folder, rows)
    data_source.clips(DataConfig(manifest=str(folder / "manifest.parquet"), detector="best.pt"), 24000, progress=False)
    as_before = {"rate": 3.0, "views": "equirect", "min_score": 0.5, "frames": "proxy"}
    assert asked == [(folder, "best.pt", {}), (folder, "best.pt", as_before)]


@pytest.mark.parametrize("weights", ["best.pt", "detector/model.safetensors"])
def test_objects_belong_to_the_weights_by_their_contents(rendered, tmp_path, asked, weights):
    folder, file = tmp_path / "synthetic_dataset", tmp_path / weights
    shutil.copytree(rendered.parent, folder)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"1")
    (file.parent / "config.json").write_text("{}")
    config = DataConfig(manifest=str(folder), detector=str(tmp_path / Path(weights).parts[0]))
    for _ in range(2):
        data_source.clips(config, 24000, progress=False)
        os.utime(file, (2**33, 2**33))  # copied, not changed
    assert len(asked) == 1
    file.write_bytes(b"2")
    os.utime(file, (0, 0))  # other weights, older than the objects
    for _ in range(2):
        data_source.clips(config, 24000, progress=False)
    assert len(asked) == 2
    assert len(list(folder.glob("objects-*.parquet"))) == 2


def test_objects_of_a_world_that_was_rendered_again_are_read_again(rendered, tmp_path):
    folder = tmp_path / "synthetic_dataset"
    shutil.copytree(rendered.parent, folder)
    config = DataConfig(manifest=str(folder), detector="truth")
    data_source.clips(config, 24000, progress=False)
    before = read_settings(objects_path(folder, "truth"))[0].model
    truth = pq.read_table(folder / "truth.parquet")
    pq.write_table(truth.slice(0, len(truth) - 1), folder / "truth.parquet")
    data_source.clips(config, 24000, progress=False)
    assert read_settings(objects_path(folder, "truth"))[0].model != before


def test_a_detector_that_is_not_there_is_told_before_anything_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"nowhere\.pt") as caught:
        data_source.clips(DataConfig(detector="nowhere.pt"), 24000, progress=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_detector_nothing_is_looked_for(rendered, asked):
    path, manifest = data_source.clips(DataConfig(manifest=str(rendered)), 24000, progress=False)
    assert (path, len(manifest), asked) == (rendered, 3, [])


def test_guided_crops_without_a_detector_are_refused_before_anything_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    for wrong in ({"options": {"crop_guide": "objects"}}, {"probe": {"crop_guide": "objects"}}):
        config = fill(RunConfig, read_recipe("avsa/small"), wrong)
        with pytest.raises(ValueError, match="guide is objects, but no detector is named") as caught:
            pretrain(config, tmp_path / "run", progress=False)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_probe_crops_are_random_unless_the_probe_itself_is_guided():
    config = fill(
        RunConfig, read_recipe("avsa/small"), {"options": {"crop_guide": "objects"}, "data": {"detector": "truth"}}
    )
    plain = resolve_run(config).probe
    assert (plain.crop_guide, plain.detector, plain.size) == ("random", "truth", 64)
    guided = resolve_run(fill(RunConfig, config, {"probe": {"crop_guide": "objects"}})).probe
    assert (guided.crop_guide, guided.data().detector) == ("objects", "truth")
