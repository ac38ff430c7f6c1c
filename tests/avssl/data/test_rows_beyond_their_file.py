"""Rows of a manifest that begin after their file ends: every reader says so; none repeats the last frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avssl.config import DataConfig
from avssl.data.loader import read_clip
from avssl.datasets.manifest import Row, read_manifest, write_manifest
from avssl.detection.frame_source import PROXY, Panoramas
from avssl.detection.prefetch import frame_batches, read_ahead
from avssl.embedding.media_discovery import find_media, find_windows
from avssl.errors import InputError
from avssl.media import write_audio, write_video
from avssl.media.clip_start import check_clip_start

ROW = Row("late", "", "a.mp4", "a.wav", 0.0, 1.0, 8.0, 64, 32, 8000, "ambix", "", 0, 0, 0, "a")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two seconds of video, six of audio, and a manifest whose second row begins at 3 s."""
    root = tmp_path_factory.mktemp("rows")
    write_video(root / "a.mp4", [np.full((32, 64, 3), 10 * index, np.uint8) for index in range(16)], 8.0)
    write_audio(root / "a.wav", torch.rand(4, 48000) - 0.5, 8000)
    write_manifest(root, [replace(ROW, key="good"), replace(ROW, start=3.0)])
    return root


@pytest.mark.parametrize("start", [2.0, 3.0, 1e9])
def test_a_start_at_or_after_the_end_is_refused(root, start):
    with pytest.raises(InputError, match=r"a\.mp4: expected a clip that begins before the video ends at 2\.000 s, got"):
        check_clip_start(root / "a.mp4", start)


def test_a_start_within_the_video_is_taken(root):
    check_clip_start(root / "a.mp4", 1.99)
    check_clip_start(root / "missing.mp4", 0.0)  # not looked at


def test_a_training_clip_beyond_its_video_is_refused(root):
    with pytest.raises(InputError, match=r"a\.mp4: expected a clip that begins before the video ends"):
        read_clip(replace(ROW, start=3.0), root, DataConfig(seconds=0.5, frames=2, frame_rate=8.0), 8000)


def test_embedding_lists_the_row_and_does_the_others(root, tmp_path):
    found = find_windows(find_media(root, tmp_path / "out"), ("audio", "video"), 0.5, 0.5, workers=0)
    assert found.broken.keys() == {"late"}
    assert "a.mp4: expected video after 3.000 s, it ends at 2.000 s" in found.broken["late"]
    assert {source.key for sources in found.sources.values() for source in sources} == {"good"}


def test_detection_gives_the_error_of_the_row(root):
    manifest = read_manifest(root)
    batches = frame_batches(manifest.rows[1:], 2.0, "equirect")
    [(batch, outcome)] = read_ahead(batches, Panoramas(manifest, PROXY), 64, "equirect")
    assert batch.row.key == "late"
    assert isinstance(outcome, InputError)
    assert "expected a clip that begins before the video ends at 2.000 s" in str(outcome)


def test_embedding_lists_a_link_to_nothing(root, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.wav").symlink_to(root / "a.wav")
    (media / "lost.wav").symlink_to("nothing")
    found = find_windows(find_media(media, tmp_path / "out"), ("audio",), 0.5, 0.5, workers=0)
    assert {source.key for source in found.sources["audio"]} == {"a.wav"}
    assert "there is no such file that the link leads to" in found.broken["lost.wav"]
