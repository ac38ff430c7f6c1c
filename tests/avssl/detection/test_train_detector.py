"""A detector from random weights: what it learns from, and that the folder it leaves works."""

import json
import socket
from importlib.util import find_spec

import cv2
import numpy as np
import pyarrow as pa
import pytest

from avssl.datasets.manifest import Manifest, Row, read_manifest
from avssl.detection.backends.architectures import shipped_file
from avssl.detection.detect_objects import detect_objects
from avssl.detection.ground_truth import COLUMNS, FILE, read_truth
from avssl.detection.object_index import read_settings
from avssl.detection.tiling import BEYOND
from avssl.detection.training.train_detector import DetectorConfig, train_detector
from avssl.detection.training.yolo_dataset import in_image, write_panorama_set
from avssl.media import write_video
from avssl.recipe_files import resolve
from avssl.synth.synth360 import synth360


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    synth360(folder, 4, 0.5, seed=3, width=96, workers=1, progress=False)
    return folder


def test_labels_frame_what_is_seen_also_what_crosses_the_seam(tmp_path):
    """Bright rectangles at known places of the panorama lie inside their labels, and nothing bright outside."""
    boxes = [(0.2, 0.3, 0.35, 0.5), (0.95, 0.6, 1.04, 0.7), (0.02, 0.1, 0.1, 0.2)]
    image = np.zeros((64, 128, 3), np.uint8)
    for left, top, right, bottom in boxes:
        columns = np.arange(round(left * 128), round(right * 128)) % 128
        image[round(top * 64) : round(bottom * 64), columns] = 255
    write_video(tmp_path / "clip.mp4", [image] * 4, 4.0)
    row = Row("clip", "", "clip.mp4", "clip.mp4", 0.0, 1.0, 4.0, 128, 64, 24000, "ambix", "", 0.0, 0.0, 0.0, "")
    facts = [("clip", frame, frame / 4, "bell", 0.0, 0.0, 1.0, *box) for frame in range(4) for box in boxes]
    hidden = [("clip", frame, frame / 4, "drum", 0.0, 0.0, 0.1, 0.5, 0.5, 0.6, 0.6) for frame in range(4)]
    table = pa.Table.from_pylist([dict(zip(COLUMNS, each, strict=True)) for each in facts + hidden])
    out = tmp_path / "set"
    data = write_panorama_set(out, {"train": (Manifest((row,), tmp_path), 3)}, table, ["bell", "drum"])
    assert json.loads(data.read_text())["names"] == {"0": "bell", "1": "drum"}
    frames = sorted((out / "images" / "train").iterdir())
    assert len(frames) == 3
    for path in frames:
        shown = cv2.imread(str(path)).mean(-1)
        assert shown.shape == (64, round(128 * (1 + BEYOND)))
        covered = np.zeros(shown.shape, bool)
        lines = (out / "labels" / "train" / f"{path.stem}.txt").read_text().splitlines()
        for line in lines:
            number, x, y, width, height = map(float, line.split())
            assert number == 0
            left, right = (x - width / 2) * shown.shape[1], (x + width / 2) * shown.shape[1]
            top, bottom = (y - height / 2) * 64, (y + height / 2) * 64
            inside = shown[round(top) + 2 : round(bottom) - 2, round(left) + 2 : round(right) - 2]
            assert inside.min() > 150
            covered[max(0, round(top) - 4) : round(bottom) + 4, max(0, round(left) - 4) : round(right) + 4] = True
        assert shown[~covered].max() < 100
        # The one that crosses the seam shows whole at the right and cut at the left; what follows the seam shows twice.
        assert len(lines) == 5


def test_a_sliver_of_a_box_is_no_example():
    ((number, box),) = in_image(np.array([[0.8, 0.4, 1.02, 0.6]]))
    assert number == 0
    assert box * [1 + BEYOND, 1, 1 + BEYOND, 1] == pytest.approx([0.91, 0.5, 0.22, 0.2])


@pytest.mark.skipif(find_spec("ultralytics") is None, reason="needs the extra `detect_objects`")
@pytest.mark.heavy
def test_trained_folder_is_a_detector_and_nothing_else_is_left(world, tmp_path, monkeypatch):
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    hostile = (
        shipped_file("yolo11n.yaml").read_text() + f"\nactivation: open({str(tmp_path / 'ran')!r}, 'w') and nn.SiLU()\n"
    )
    for name in ("yolo11n.yaml", "yolo11.yaml"):  # of the working folder, which ultralytics would prefer
        (here / name).write_text(hostile)
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    config = DetectorConfig(side=64, panoramas=6, held_out=2, epochs=1, batch=4)
    metrics = train_detector(world, tmp_path / "net", config, progress=False)
    assert set(metrics) == {"map50", "map50_95", "seconds"}
    assert 0 <= metrics["map50_95"] <= metrics["map50"] <= 1
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == [
        "config.json", "metrics.json", "model.safetensors",
    ]  # fmt: skip
    assert json.loads((tmp_path / "net" / "metrics.json").read_text())["trained"]["panoramas"] == 6
    labels = json.loads((tmp_path / "net" / "config.json").read_text())["labels"]
    assert labels == sorted(set(read_truth(world / FILE)["kind"].to_pylist()))
    about, looked = read_settings(detect_objects(world, str(tmp_path / "net"), progress=False))
    assert about.views == "equirect"
    assert set(looked) == {row.key for row in read_manifest(world)}
    assert sorted(each.name for each in here.iterdir()) == ["yolo11.yaml", "yolo11n.yaml"]
    assert not [*home.iterdir()]
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ValueError, match="expected a new folder for the detector"):
        train_detector(world, tmp_path / "net", config, progress=False)


def _no_network(*_, **__):
    raise AssertionError("an address was looked up")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is at least 1"),
        ({"side": 100}, "side is a multiple of 32"),
        ({"sid": 64}, "did you mean 'side'"),
    ],
)
def test_settings_without_meaning_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        resolve(DetectorConfig, "detect/synth360", change)


@pytest.mark.parametrize(
    ("out", "message"), [("world", "holds something already"), ("file/net", "none can be made in")]
)
def test_a_folder_that_is_no_new_one_is_refused_before_training(tmp_path, out, message):
    (tmp_path / "world").mkdir()
    for name in ("world/manifest.parquet", "file"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=message):
        train_detector(tmp_path / "nowhere", tmp_path / out, DetectorConfig(), progress=False)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "manifest.parquet", "world"]


def test_a_world_without_held_out_clips_is_refused_before_anything_is_written(tmp_path):
    synth360(tmp_path / "world", 1, 0.25, seed=0, width=32, workers=1, test_share=0.0, progress=False)
    with pytest.raises(ValueError, match="no clip of split 'test'"):
        train_detector(tmp_path / "world", tmp_path / "net", DetectorConfig(), progress=False)
    assert not (tmp_path / "net").exists()
