import json
import os
from dataclasses import dataclass, replace

import pytest
import torch

from avssl.data import clip_filter as module
from avssl.data.clip_filter import filter_clips
from avssl.datasets.manifest import Manifest, Row
from avssl.media import write_audio

RATE = 8000
ROW = Row(
    key="", split="", video="", audio="", start=0.0, seconds=0.25, frame_rate=16.0, width=64, height=32,
    sample_rate=RATE, layout="stereo", silent_channels="", azimuth=0.0, elevation=0.0, diffuseness=0.0, source="",
)  # fmt: skip


@dataclass
class Options:
    peak: float = 0.15


class ByRow:
    """Rejects odd keys."""

    def reject_reason(self, row):
        return "its key is odd" if int(row.key) % 2 else ""


class ByAudio:
    """Rejects quiet audio."""

    def __init__(self, peak=0.15):
        self.options = Options(peak)

    def reject_reason(self, row):
        return ""

    def reject_audio_reason(self, audio):
        return "quiet – too quiet" if audio.abs().amax() < self.options.peak else ""


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Six clips; the peak of number i is i / 10."""
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    for number in range(6):
        write_audio(tmp_path / f"{number}.wav", torch.full((2, 2000), number / 10), RATE)
    rows = tuple(replace(ROW, key=str(number), audio=f"{number}.wav") for number in range(6))
    return Manifest(rows, tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were read, in this process."""
    names = []

    def watched(path, *more):
        names.append(path.name)
        return read_audio(path, *more)

    read_audio = module.read_audio
    monkeypatch.setattr(module, "read_audio", watched)
    return names


def keys(manifest):
    return [row.key for row in manifest]


def test_rejected_rows_are_left_out_with_one_warning_a_reason(clips, caplog):
    found = filter_clips(clips, ByRow())
    assert keys(found) == ["0", "2", "4"]
    assert found.root == clips.root
    [message] = caplog.messages
    assert "3 of 6 clips were rejected: its key is odd" in message
    assert not (clips.root / "cache").exists()  # rows are checked faster than a cache is read


def test_a_manifest_without_an_accepted_clip_is_an_error(clips):
    odd = replace(clips, rows=clips.rows[1::2])
    with pytest.raises(ValueError, match=r"all 3 clips were rejected by the clip filter \(.*3 clips: its key is odd"):
        filter_clips(odd, ByRow())


@pytest.mark.parametrize("workers", [0, 2])
def test_loader_processes_check_audio_as_this_one_does(clips, caplog, workers):
    assert keys(filter_clips(clips, ByAudio(), workers=workers)) == ["2", "3", "4", "5"]
    assert "2 of 6 clips were rejected: quiet – too quiet" in caplog.text


def test_audio_is_checked_once_for_the_same_filter_options_and_files(clips, decoded):
    first = filter_clips(clips, ByAudio(), workers=0)
    assert len(decoded) == 6
    assert filter_clips(clips, ByAudio(), workers=0) == first
    assert len(decoded) == 6
    assert keys(filter_clips(clips, ByAudio(0.35), workers=0)) == ["4", "5"]
    assert len(decoded) == 12
    assert keys(filter_clips(replace(clips, rows=clips.rows[:4]), ByAudio(), workers=0)) == ["2", "3"]
    assert len(decoded) == 16
    write_audio(clips.root / "5.wav", torch.zeros(2, 2000), RATE)
    os.utime(clips.root / "5.wav", ns=(1, 1))
    assert keys(filter_clips(clips, ByAudio(), workers=0)) == ["2", "3", "4"]


def test_another_class_of_the_same_options_is_another_filter(clips):
    class Lenient(ByAudio):
        def reject_audio_reason(self, audio):
            return ""

    assert len(filter_clips(clips, ByAudio(), workers=0)) == 4
    assert len(filter_clips(clips, Lenient(), workers=0)) == 6


def test_a_broken_cache_file_is_replaced(clips, decoded):
    first = filter_clips(clips, ByAudio(), workers=0)
    [path] = (clips.root / "cache" / "clip_filter").iterdir()
    path.write_text(path.read_text()[:5])
    assert filter_clips(clips, ByAudio(), workers=0) == first
    assert json.loads(path.read_text()) == {"0": "quiet – too quiet", "1": "quiet – too quiet"}


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_audio_is_an_error_with_its_path_and_nothing_is_cached(clips, workers):
    (clips.root / "3.wav").write_bytes(b"RIFF of nothing")
    with pytest.raises(ValueError, match=r"3\.wav"):
        filter_clips(clips, ByAudio(), workers=workers)
    assert not (clips.root / "cache").exists()
