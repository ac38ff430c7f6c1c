"""Real clips of UCF101 and HMDB51 in trees of the official layout, against OpenCV's decoder."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.action.video_clips import last_clip_starts, read_dataset

from avssl.data.clip_options import Reading
from avssl.data.window_reader import read_window_frames

MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data")) / "restricted"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))


def real(name: str) -> list[Path]:
    found = sorted((MEDIA / name).glob("*.avi"))
    if len(found) < 2:
        pytest.skip(f"real media missing: {MEDIA / name} (set AVSSL_TEST_MEDIA)")
    return found


def ucf(root: Path) -> Path:
    clips = real("ucf101")
    labels = sorted({path.name.split("_")[1] for path in clips})
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{n} {label}\r\n" for n, label in enumerate(labels, 1)), newline="")
    for path in clips:
        label = path.name.split("_")[1]
        (root / "UCF-101" / label).mkdir(parents=True, exist_ok=True)
        (root / "UCF-101" / label / path.name).symlink_to(path)
        part = "test" if path == clips[0] else "train"
        number = "" if part == "test" else f" {labels.index(label) + 1}"
        with (lists / f"{part}list01.txt").open("a") as file:
            file.write(f"{label}/{path.name}{number}\r\n")
    return root


def hmdb(root: Path) -> Path:
    clips = real("hmdb51")
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir()
    codes = {"wave": "1", "cartwheel": "2"}
    for path in clips:
        label = next(each for each in codes if f"_{each}_" in path.name)
        (root / label).mkdir(exist_ok=True)
        (root / label / path.name).symlink_to(path)
        with (lists / f"{label}_test_split1.txt").open("a") as file:
            file.write(f"{path.name} {codes[label]} \n")
    return root


def decoded(path: Path) -> tuple[np.ndarray, float]:
    """All frames as decoded by OpenCV, RGB, and the frame rate."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (found := capture.read())[0]:
        frames.append(cv2.cvtColor(found[1], cv2.COLOR_BGR2RGB))
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("tree", [ucf, hmdb])
def test_frames_of_real_clips_match_opencv(tree: Callable[[Path], Path], tmp_path: Path) -> None:
    dataset = read_dataset(ActionOptions(root=str(tree(tmp_path))))
    reading = Reading(frames=8, frame_rate=16.0, resize=0, size=0)
    assert dataset.name in ("UCF101", "HMDB51")
    for recording, end in zip(
        dataset.recordings, last_clip_starts(dataset, dataset.recordings, reading, 0), strict=True
    ):
        path = dataset.root / recording.video
        theirs, rate = decoded(path)
        # Headers count one frame too many: what can be decoded ends here.
        assert end == pytest.approx(len(theirs) / rate - 0.5, abs=1e-6)
        for start in (0.0, end / 3, end):
            numbers = np.floor((start + np.arange(8) / 16) * rate + 1e-4).astype(int)
            window = read_window_frames(path, start, reading).permute(0, 2, 3, 1).numpy()
            errors = {
                shift: mean_difference(window, theirs[np.clip(numbers + shift, 0, len(theirs) - 1)])
                for shift in (-1, 0, 1)
            }
            # OpenCV's conversion to RGB truncates: every pixel of it is one to two of 255 too dark.
            assert errors[0] < 2
            assert errors[0] <= 1.02 * min(errors.values())  # UCF101 repeats some frames


def mean_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean absolute difference of pixel values."""
    return float(np.abs(ours.astype(np.int16) - theirs).mean())
