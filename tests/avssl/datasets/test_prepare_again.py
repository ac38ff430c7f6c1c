"""`avssl prepare` stopped, started again, killed, and out of space."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import av
import numpy as np
import pytest
import soundfile
import torch

from avssl.config import DataConfig
from avssl.data.loader import read_clip
from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare import prepare
from avssl.datasets.prepare_journal import ENTRIES
from avssl.io.folder_lock import NAME
from avssl.media import write_video

pytestmark = pytest.mark.heavy

RUN = """
import sys; from pathlib import Path; from avssl.datasets.prepare import prepare
if __name__ == "__main__": prepare(Path(sys.argv[1]), Path(sys.argv[2]), "files", workers=2)
"""


def clip(path, seconds=0.5, seed=0):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for _ in range(round(8 * seconds)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 128, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    audio = np.random.default_rng(seed).standard_normal((round(24000 * seconds), 1)) * [[0.1, 0.05, 0.0, 0.08]]
    soundfile.write(path.with_suffix(".wav"), audio, 24000)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        clip(tmp_path / "in" / f"{name}.mp4")
    return tmp_path / "in", tmp_path / "out"


def again(folders, **options):
    return prepare(*folders, "files", workers=1, progress=False, **options)


def counts(report):
    return report.done, report.failed, report.skipped


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "media").iterdir()}


def test_frames_as_jpeg_images_are_read_as_those_of_the_video(folders):
    moving = folders[0] / "a.mp4"
    frames = [np.full((64, 128, 3), 20 * number, np.uint8) for number in range(8)]
    write_video(moving, frames, 8.0)
    again(folders)
    (video, _) = read_manifest(folders[1])
    settings = json.loads((folders[1] / ENTRIES).read_text().splitlines()[0])["settings"]
    assert "frames" not in settings  # as in folders of earlier revisions, which go on
    with pytest.raises(ValueError, match="frames"):
        again(folders, frames="jpeg")
    out = folders[1].parent / "jpeg"
    again((folders[0], out), frames="jpeg")
    (jpeg, other) = read_manifest(out)
    assert jpeg == replace(video, video="media/a.jpeg.mp4")
    assert sorted(path.name for path in (out / "media").iterdir()) == ["a.jpeg.mp4", "a.wav", "b.jpeg.mp4", "b.wav"]
    reading = DataConfig(seconds=0.3, frames=2, frame_rate=8.0)
    for seed in range(4):
        clips = [
            read_clip(row, root, reading, 24000, np.random.default_rng(seed))
            for row, root in ((video, folders[1]), (jpeg, out))
        ]
        assert torch.equal(clips[0].audio, clips[1].audio)
        assert (clips[0].frames.int() - clips[1].frames.int()).abs().max() <= 3
    (out / "media" / "b.jpeg.mp4").write_bytes((out / "media" / "b.jpeg.mp4").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"^\S*b.jpeg.mp4: [^\n]*$"):
        read_clip(other, out, replace(reading, seconds=0.5, frames=4), 24000)


def test_only_what_is_new_changed_failed_or_gone_is_done_again(folders):
    root, out = folders
    (root / "c.mp4").write_bytes(b"no video")
    assert counts(again(folders)) == (2, 1, 0)
    first = times(out)
    assert (counts(again(folders)), times(out)) == ((0, 1, 2), first)
    clip(root / "c.mp4")
    clip(root / "a.mp4", seconds=1.0)
    (out / "media" / "b.wav").unlink()
    with (out / ENTRIES).open("a") as file:
        file.write('{"key": "a", "sou')  # a crash in the middle of a line
    report = again(folders)
    assert counts(report) == (3, 0, 0)
    assert [(row.key, row.seconds) for row in read_manifest(out)] == [("a", 1.0), ("b", 0.5), ("c", 0.5)]
    assert counts(again(folders)) == (0, 0, 3)


@pytest.mark.parametrize(
    "line",
    [
        b'{"key": "a"',
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (b'{"key": "a"}', b"[1]", b"\xff\xfe", b'{"key": "a", "row": {"key": "a"}}')
        ),
    ],
)
def test_a_journal_gone_bad_costs_its_clips_only(folders, line):
    out = folders[1]
    assert counts(again(folders)) == (2, 0, 0)
    entries = (out / ENTRIES).read_bytes().splitlines(keepends=True)
    (out / ENTRIES).write_bytes(entries[0] + line + b"\n" + next(each for each in entries if b'"key": "b"' in each))
    assert counts(again(folders)) == (1, 0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "long"},
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ({"width": 2.5}, {"key": 7}, {"azimuth": None}, {"start": [0]})
        ),
    ],
)
def test_a_row_of_the_journal_with_values_of_other_types_is_prepared_again(folders, change):
    assert counts(again(folders)) == (2, 0, 0)
    path = folders[1] / ENTRIES
    header, *lines = map(json.loads, path.read_text().splitlines())
    lines[0]["row"] |= change
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    assert counts(again(folders)) == (1, 0, 1)
    assert {row.key for row in read_manifest(folders[1])} == {"a", "b"}


def test_a_folder_belongs_to_one_choice_of_options(folders):
    _root, out = folders
    with pytest.raises(ValueError, match=r"unknown sound layout 'wyz'"):
        again(folders, channel_layout="wyz")
    assert counts(again(folders, channel_layout="wxy"))[1] == 2  # nothing prepared: another try may declare otherwise
    assert counts(again(folders))[0] == 2
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"prepared\.jsonl: expected height 224, which it was written with, got 112"):
        again(folders, height=112)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"root": "missing"}, "missing: expected a folder of recordings, there is none"),
        ({"root": "in/a.mp4"}, "a.mp4: expected a folder of recordings, this is a file"),
        ({"root": "empty"}, "empty: expected 360-degree clips .* found none"),
        ({"out": "in"}, "folders of their own"),
        ({"out": "in/a.mp4"}, "expected a folder to write to, this is a file"),
        ({"out": "scenes"}, "holds a manifest that `avssl prepare` did not write"),
        ({"layout": "file"}, r"no layout named 'file' \(did you mean 'files'\?\); installed: eigenscape, "),
        ({"layout": "yt360"}, "expected YT-360's folders video and audio"),
        ({"height": 7}, "height is an even number"),
        ({"workers": 0}, "workers must be 1 or more"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_writes_nothing(folders, tmp_path, change, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "manifest.parquet").touch()
    before = sorted(tmp_path.rglob("*"))
    options = {"root": "in", "out": "out", "layout": "files", "progress": False} | change
    root, out = (tmp_path / options.pop(name) for name in ("root", "out"))
    with pytest.raises(ValueError, match=why) as caught:
        prepare(root, out, **options)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def start(folders):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, folders)], stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_stopped_anywhere_it_leaves_no_half_file_and_continues(folders, how):
    root, out = folders
    for index in range(16):
        clip(root / f"{index}.mp4", seconds=4.0, seed=index)
    process = start(folders)
    deadline = time.monotonic() + 120
    while len(list(out.glob("media/*.wav"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does: to the workers too
    else:
        process.kill()
    error = process.communicate(timeout=60)[1].decode()
    if how == signal.SIGINT:
        assert not (out / ".partial").exists()
        assert error.count("Traceback") <= 1  # the parent's own
    assert_workers_are_gone(process.pid)
    for path in (out / "media").glob("*.wav"):
        assert soundfile.info(path).frames in (96000, 12000)
    for path in (out / "media").glob("*.mp4"):
        with av.open(str(path)) as file:
            assert sum(1 for _ in file.decode(video=0)) in (32, 4)
    report = again(folders)
    assert (report.failed, report.done + report.skipped) == (0, 18)
    assert report.skipped >= 1


def assert_workers_are_gone(group):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("worker processes are still there")


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], capture_output=True).returncode
    ):
        pytest.skip("a small disk can only be made by root, and not in every container")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_stops_with_one_line_and_no_half_file(folders, small_disk):
    for index in range(8):
        clip(folders[0] / f"{index}.mp4", seconds=2.0, seed=index)
    with pytest.raises(OSError, match="the disk is full; what is complete stays") as caught:
        prepare(folders[0], small_disk / "out", "files", workers=1, progress=False)
    assert "\n" not in str(caught.value)
    for path in (small_disk / "out" / "media").glob("*.wav"):
        assert soundfile.info(path).frames in (48000, 12000)
    assert not list(small_disk.rglob("*.part*"))


def test_a_disk_that_fills_up_in_the_journal_is_the_same_line(folders, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("avssl.datasets.prepare_journal.Journal.note", full)
    with pytest.raises(OSError, match=r"out: the disk is full; what is complete stays"):
        again(folders)
    assert not (folders[1] / ".partial").exists()


def test_two_runs_do_not_write_to_one_folder(folders, tmp_path):
    import fcntl

    folders[1].mkdir()
    with (folders[1] / NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="out: expected a place where no other command writes"):
            again(folders)
    assert counts(again(folders)) == (2, 0, 0)
    assert not (folders[1] / NAME).exists()
