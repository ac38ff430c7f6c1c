"""Stored frames: pixels of the decoder, whole files, a bound on all of them together."""

from __future__ import annotations

import os
import time
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from avssl.media import frame_store as module
from avssl.media import read_frames, write_video
from avssl.media.frame_store import frame_store

SIZE = 32 * 64 * 12
ROOM = 10**8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frames"


def video(path, seed=0, codec="libx264", pixels="yuv420p", **options):
    """Twelve frames of coloured noise at 8 Hz."""
    images = np.random.default_rng(seed).integers(0, 256, (12, 32, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8, options={"g": "5", **options})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 32, pixels, Fraction(1, 8)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mkv", "mpeg4"), ("a.webm", "libvpx-vp9")]
)
def test_pixels_are_those_of_the_decoder(tmp_path, cache, name, codec):
    path = video(tmp_path / name, codec=codec)
    store = frame_store([(path, SIZE)], ROOM)
    for times in ([0.0], [-1.0, 0.1, 0.12], [0.3, 0.9, 1.4], [0.5] * 3, [1.2, 70.0]):
        assert torch.equal(store.read(path, times), read_frames(path, times))
    assert len(list(cache.rglob("*.frames"))) == 1


def test_frames_are_read_without_a_decoder_once_they_are_stored(tmp_path, monkeypatch):
    path = video(tmp_path / "a.mp4")
    store, expected = frame_store([(path, SIZE)], ROOM), read_frames(path, [0.4, 0.8])
    store.read(path, [0.0])
    monkeypatch.setattr(module, "read_frames", None)
    monkeypatch.setattr(module, "open_stream", None)
    assert torch.equal(store.read(path, [0.4, 0.8]), expected)


def test_a_video_that_changes_is_decoded_anew(tmp_path):
    path = video(tmp_path / "a.mp4")
    store = frame_store([(path, SIZE)], ROOM)
    before = store.read(path, [0.5])
    video(path, seed=1)
    os.utime(path, ns=(1, 1))
    after = store.read(path, [0.5])
    assert not torch.equal(before, after)
    assert torch.equal(after, read_frames(path, [0.5]))


def test_what_cannot_be_stored_is_decoded(tmp_path, cache):
    paths = [video(tmp_path / "a.mkv", codec="ffv1", pixels="yuv444p"), video(tmp_path / "b.avi", codec="mpeg4")]
    store = frame_store([(path, SIZE) for path in paths], ROOM)
    for path in paths:
        assert torch.equal(store.read(path, [0.5]), read_frames(path, [0.5]))
    assert not list(cache.rglob("*.frames"))


@pytest.mark.parametrize("left", [0, 10, -1])
def test_a_file_that_is_not_whole_is_not_read(tmp_path, cache, left):
    path = video(tmp_path / "a.mp4")
    store = frame_store([(path, SIZE)], ROOM)
    store.read(path, [0.5])
    (stored,) = cache.rglob("*.frames")
    stored.write_bytes(stored.read_bytes()[:left])
    assert torch.equal(store.read(path, [0.5]), read_frames(path, [0.5]))


def test_all_stores_together_have_one_bound(tmp_path, cache):
    paths = [video(tmp_path / f"{number}.mp4", number) for number in range(4)]
    each = SIZE * 1.5 + module._HEAD
    first = frame_store([(path, SIZE) for path in paths[:2]], 3.5 * each)
    assert first.videos == {str(path) for path in paths[:2]}
    second = frame_store([(path, SIZE) for path in paths[2:]], 3.5 * each)
    assert second.videos == {str(paths[2])}
    for store, path in zip((first, first, second, second), paths, strict=True):
        assert torch.equal(store.read(path, [1.0]), read_frames(path, [1.0]))
    assert sum(stored.stat().st_size for stored in cache.rglob("*.frames")) < 3.5 * each
    assert frame_store([(path, SIZE) for path in paths[1:3]], 3 * each) is None


def age(store, seconds):
    then = time.time() - seconds
    os.utime(store.folder / module.GRANT, (then, then))


def test_room_of_a_store_that_is_not_in_use_is_taken_and_not_taken_back_by_reading(tmp_path, cache, caplog):
    paths = [video(tmp_path / f"{number}.mp4", number) for number in range(2)]
    each = SIZE * 1.5 + module._HEAD
    old = frame_store([(paths[0], SIZE)], each)
    old.read(paths[0], [0.0])
    age(old, module.UNUSED / 2)
    assert frame_store([(paths[1], SIZE)], each) is None
    age(old, module.UNUSED + 1)
    assert frame_store([(paths[1], SIZE)], each).videos == {str(paths[1])}
    for _ in range(2):
        assert torch.equal(old.read(paths[0], [0.5]), read_frames(paths[0], [0.5]))
    assert caplog.text.count("another training has taken this room") == 1
    assert not old.folder.exists()
    assert frame_store([(paths[1], SIZE)], 0) is None


def test_a_store_that_is_read_is_in_use_by_a_note_a_minute(tmp_path, cache, monkeypatch):
    paths = [video(tmp_path / f"{number}.mp4", number) for number in range(2)]
    each = SIZE * 1.5 + module._HEAD
    store = frame_store([(paths[0], SIZE)], each)
    for later, fresh in ((0, True), (module.MARK_EVERY / 2, False), (module.MARK_EVERY + 1, True)):
        now = time.monotonic() + later
        monkeypatch.setattr(module.time, "monotonic", lambda now=now: now)
        age(store, module.UNUSED + 1)
        store.read(paths[0], [0.5])
        assert (time.time() - (store.folder / module.GRANT).stat().st_mtime < 60) == fresh
    assert frame_store([(paths[1], SIZE)], each) is None


def test_a_folder_that_cannot_be_written_leaves_decoding(tmp_path, cache, caplog):
    path = video(tmp_path / "a.mp4")
    store = frame_store([(path, SIZE)], ROOM)
    (store.folder / module.GRANT).unlink()
    store.folder.rmdir()
    store.folder.write_text("no folder")
    for _ in range(2):
        assert torch.equal(store.read(path, [0.5]), read_frames(path, [0.5]))
    assert caplog.text.count("decoded at every read") == 1


def test_frames_of_a_rendered_video_are_stored(tmp_path, cache):
    write_video(tmp_path / "a.mp4", np.random.default_rng(0).integers(0, 256, (6, 32, 64, 3), np.uint8), 8.0)
    store = frame_store([(tmp_path / "a.mp4", SIZE)], ROOM)
    assert torch.equal(store.read(tmp_path / "a.mp4", [0.3]), read_frames(tmp_path / "a.mp4", [0.3]))
    assert list(cache.rglob("*.frames"))
