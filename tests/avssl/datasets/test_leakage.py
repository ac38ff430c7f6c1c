"""Test clips that other lists hold are counted; MUSIC-Stereo is what of MUSIC really has two channels."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avssl.datasets.layouts.fair_play import FairPlay
from avssl.datasets.layouts.music_stereo import MusicStereo
from avssl.datasets.layouts.splits import leakage
from avssl.datasets.prepare import prepare
from avssl.media import write_video

RATE = 24000
SETS = {
    "new_splits/split1": {"train": ["1", "2", "3"], "val": ["4"], "test": ["5", "6", "7"]},
    "new_splits/split2": {"train": ["1", "2", "5"], "val": ["4"], "test": ["3", "6", "7"]},
}
MONO = ["1", "2", "5", "6"]


def write_lists(base: Path) -> None:
    for name, lists in SETS.items():
        (base / name).mkdir(parents=True)
        for part, clips in lists.items():
            (base / name / f"{part}.txt").write_text("\n".join(f"00000{clip}.mp3" for clip in clips))
    lines = (f"FAIR-Play/audio_resave/00000{clip}.mp3,FAIR-Play/new_patches/00000{clip}" for clip in MONO)
    (base / "new_splits" / "mono_train.txt").write_text("\n".join(lines))
    (base / "new_splits" / "notes.txt").write_text("one, two\n")


def write_clip(base: Path, name: str, audio: np.ndarray) -> None:
    for folder in ("videos", "binaural_audios"):
        (base / folder).mkdir(exist_ok=True)
    soundfile.write(base / "binaural_audios" / f"{name}.wav", audio, RATE)
    write_video(base / "videos" / f"{name}.mp4", [np.full((32, 64, 3), 99, np.uint8)] * 10, 10.0)


def ears(difference_db: float, seconds: float = 1.0) -> np.ndarray:
    """Two channels whose difference is so far below their sum, in dB, `(samples, 2)`."""
    total, apart = 0.2 * np.random.default_rng(0).standard_normal((2, round(seconds * RATE)))
    apart = 10 ** (difference_db / 20) * apart * np.linalg.norm(total) / np.linalg.norm(apart)
    return np.stack([total + apart, total - apart], 1) / 2


def test_test_clips_are_counted_in_every_other_list() -> None:
    found = leakage(SETS, {"mono.txt": MONO})
    assert found == {
        "new_splits/split1": {
            "test": 3,
            "new_splits/split1/train": 0,
            "new_splits/split1/val": 0,
            "mono.txt": 2,
            "other tests": 2,
        },
        "new_splits/split2": {
            "test": 3,
            "new_splits/split2/train": 0,
            "new_splits/split2/val": 0,
            "mono.txt": 1,
            "other tests": 2,
        },
    }


@pytest.mark.heavy
def test_prepare_reports_that_a_list_of_mono_sources_holds_test_clips(tmp_path: Path) -> None:
    base = tmp_path / "in"
    base.mkdir()
    write_lists(base)
    write_clip(base, "000001", ears(-6))
    found = prepare(base, tmp_path / "out", "fair-play", split="new_splits/split2", workers=1)
    shown = " ".join(found.text().split())
    assert "1 of 3 test clips are in new_splits/mono_train.txt" in shown
    assert "2 of 3 test clips are in other tests" in shown
    report = json.loads((tmp_path / "out" / "report.json").read_text())["leakage"]
    assert report == leakage(SETS, {"new_splits/mono_train.txt": MONO})


def test_without_test_lists_nothing_leaks(tmp_path: Path) -> None:
    write_clip(tmp_path, "000001", ears(-6))
    assert FairPlay().read(tmp_path, tmp_path / "out").leakage == {}


@pytest.fixture
def band(tmp_path: Path) -> Path:
    base = tmp_path / "in"
    base.mkdir()
    write_clip(base, "wide0000000", ears(-10))
    write_clip(base, "mono0000000", ears(-35))
    write_clip(base, "same0000000", ears(-200))
    ids = ["wide0000000", "mono0000000", "same0000000"]
    (base / "MUSIC_solo_videos.json").write_text(json.dumps({"videos": {"cello": ids}}))
    return base


@pytest.mark.heavy
def test_clips_whose_channels_hardly_differ_are_no_stereo(band: Path) -> None:
    report = prepare(band, band.parent / "out", "music-stereo", workers=1, progress=False)
    assert [row.key for row in report.rows] == ["wide0000000"]
    reasons = {each.key: each.reason for each in report.failures}
    assert "expected left and right to differ by -30 dB, found -35 dB" in reasons["mono0000000"]
    assert "same0000000" in reasons
    whole = prepare(band, band.parent / "all", "music", workers=1, progress=False)
    assert len(whole.rows) == 3


def test_eight_tenths_are_for_training_by_their_ids_alone(tmp_path: Path) -> None:
    ids = [f"id{number:09d}" for number in range(1000)]
    (tmp_path / "MUSIC21_solo_videos.json").write_text(json.dumps({"videos": {"cello": ids}}))
    for identity in ids:
        (tmp_path / f"{identity}.mp4").touch()
    found = {each.key: each.split for each in MusicStereo().read(tmp_path, tmp_path / "out").recordings}
    counts = Counter(found.values())
    assert counts["train"] == pytest.approx(800, abs=40)
    assert counts["val"] == pytest.approx(100, abs=30)
    for identity in ids[::2]:
        (tmp_path / f"{identity}.mp4").unlink()
    fewer = {each.key: each.split for each in MusicStereo().read(tmp_path, tmp_path / "out").recordings}
    assert fewer == {key: found[key] for key in ids[1::2]}
