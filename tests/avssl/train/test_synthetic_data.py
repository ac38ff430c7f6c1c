import json
import os
import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from avssl.config import DataConfig
from avssl.data.loader import read_clip
from avssl.datasets.manifest import read_manifest
from avssl.errors import InputError
from avssl.io.folder_lock import folder_lock
from avssl.synth.stage.stage_dataset import Stage
from avssl.train import data_source

SMALL = {"clips": 2, "clip_seconds": 0.5, "seconds": 0.5, "frames": 1, "frame_rate": 2.0}


@pytest.mark.parametrize(("name", "channels", "shape"), [("synth360", 4, (224, 448)), ("stage", 2, (128, 224))])
@pytest.mark.heavy
def test_a_world_is_rendered_by_its_name_and_kept(tmp_path, monkeypatch, name, channels, shape):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    config = DataConfig(synthetic_dataset=name, **SMALL)
    path, manifest = data_source.clips(config, 16000, progress=False)
    clip = read_clip(manifest.rows[0], manifest.root, config, 16000)
    assert (clip.audio.shape, clip.frames.shape) == ((channels, 8000), (1, 3, *shape))
    written = path.stat().st_mtime_ns
    assert data_source.clips(config, 16000, progress=False)[0] == path
    assert path.stat().st_mtime_ns == written
    assert [folder.name.split("-")[0] for folder in tmp_path.iterdir()] == [name]


@pytest.mark.heavy
def test_a_dataset_that_another_run_renders_is_waited_for_and_not_rendered_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    config = DataConfig(synthetic_dataset="stage", **SMALL)
    path, _ = data_source.clips(config, 16000, progress=False)
    away = path.rename(path.with_name("away"))
    holds = threading.Event()

    def other_run():
        with folder_lock(path.parent):
            holds.set()
            time.sleep(0.5)
            away.rename(path)

    thread = threading.Thread(target=other_run)
    thread.start()
    holds.wait()
    monkeypatch.setattr("avssl.synth.stage.stage_dataset.Stage.render", lambda *_, **__: pytest.fail("rendered again"))
    caplog.set_level("INFO", "avssl")
    assert data_source.clips(config, 16000, progress=False)[0] == path
    thread.join()
    assert [message for message in caplog.messages if f"{path.parent}: waits for process {os.getpid()} on" in message]


def test_a_world_that_is_none_is_named_with_what_may_have_been_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    with pytest.raises(
        ValueError, match=r"no synthetic dataset named 'stag' \(did you mean 'stage'\?\); installed: .*synth360"
    ):
        data_source.clips(DataConfig(synthetic_dataset="stag"), 24000, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.heavy
def test_a_validation_seed_renders_other_scenes_that_are_all_held_out(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    config = DataConfig(**SMALL | {"clips": 8}, synthetic_dataset="stage", validation_seed=7)
    run = (tmp_path / "manifest.parquet", None)
    path, manifest = data_source.evaluation_clips(config, 16000, *run, progress=False)
    assert path.parent.name == f"stage-{Stage.version}-2x0.5s-seed7-test-2fps-16000Hz"  # a quarter of 8
    assert [row.split for row in manifest] == ["test", "test"]
    assert {row.source for row in manifest} == {"stage-7-00000", "stage-7-00001"}
    assert data_source.evaluation_clips(replace(config, validation_seed=None), 16000, *run) == run


@pytest.mark.heavy
def test_options_of_a_world_render_it_into_a_folder_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path))
    plain = DataConfig(**SMALL | {"clips": 1}, synthetic_dataset="stage")
    both = replace(plain, synthetic_options={"sides": "both", "width": 64, "height": 32})
    wider = replace(plain, synthetic_options={"sides": "both", "width": 96, "height": 32})
    paths = [data_source.clips(config, 16000, progress=False)[0] for config in (plain, both, wider)]
    assert len({path.parent.name for path in paths}) == 3
    name = f"stage-{Stage.version}-1x0.5s-seed0-2fps-16000Hz"
    assert paths[0].parent.name == name  # as before there were options: rendered once
    assert all(path.parent.name.startswith(f"{name}-") for path in paths[1:])
    assert [json.loads((path.parent / "scenes.json").read_text()).get("sides") for path in paths] == [
        None,
        "both",
        "both",
    ]
    assert [read_manifest(path).rows[0].width for path in paths] == [224, 64, 96]
    assert data_source.clips(both, 16000, progress=False)[0] == paths[1]


def test_a_folder_of_options_is_that_of_the_contents_of_their_files(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Stage, "render", lambda self, out, **_: out / "manifest.parquet")
    monkeypatch.setattr(data_source, "read_manifest", lambda path: path)
    photographs, names = tmp_path / "photographs", []
    photographs.mkdir()
    for shade in (0, 0, 200):
        for number in range(2):
            cv2.imwrite(str(photographs / f"{number}.png"), np.full((32, 64, 3), shade + number, np.uint8))
        config = DataConfig(**SMALL, synthetic_dataset="stage", synthetic_options={"backgrounds": str(photographs)})
        names.append(data_source.clips(config, 16000, progress=False)[0].parent.name)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": "both"}, r"^data.synthetic_options: unknown key 'side' \(did you mean 'sides'"),
        ({"sides": "left"}, "^stage: sides is one or both, not 'left'$"),
        ({"seed": 3}, "^data.synthetic_options: expected options of stage besides its size and rates .*, got seed$"),
        ({"backgrounds": "nowhere"}, "nowhere: expected a folder of .*, got no folder"),
    ],
)
def test_wrong_options_of_a_world_are_one_line_and_nothing_is_written(tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    config = DataConfig(**SMALL, synthetic_dataset="stage", synthetic_options=options)
    with pytest.raises(InputError, match=message) as caught:
        data_source.clips(config, 16000, progress=False)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))
