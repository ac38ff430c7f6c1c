"""How recordings are found on disk."""

import os
from pathlib import Path

import pytest

from avssl.datasets.layouts.files import Files
from avssl.datasets.layouts.yt360 import Yt360
from avssl.datasets.recording_keys import safe_key

IDS = ("-bcdefghijk", "ab-d_fghij0", "ABCDEFGHIJK")


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture(params=["", "data/yt360", "yt360"])
def youtube(tmp_path, request):
    base = tmp_path / request.param
    for name in (f"{IDS[0]}-30", f"{IDS[0]}-120", f"{IDS[1]}-0"):
        touch(base / "video" / f"{name}.mp4", base / "audio" / f"{name}.m4a")
    touch(base / "video" / f"{IDS[1]}-10.mp4", base / "audio" / f"{IDS[1]}-20.m4a", base / "video" / "notes.mp4")
    (base / "train.txt").write_text(f"{IDS[0]}\r\n{IDS[2]}")
    (tmp_path / "test.txt").write_text(f"{IDS[1]}\n")
    (base.parent / "segments.txt").write_text(f"{IDS[0]} 30,120,150\n{IDS[1]} 0\n")
    return tmp_path


def test_yt360_clips_count_when_both_files_exist(youtube):
    found = Yt360().read(youtube, youtube / "out")
    assert [(each.key, each.split) for each in found.recordings] == [
        (f"{IDS[0]}-120", "train"),
        (f"{IDS[0]}-30", "train"),
        (f"{IDS[1]}-0", "test"),
    ]
    assert all(
        each.projection == "equirect" and Path(each.video).stem == Path(each.audio).stem == each.key
        for each in found.recordings
    )


def test_yt360_says_what_the_lists_promise_and_the_disk_lacks(youtube):
    assert Yt360().read(youtube, youtube / "out").missing == {
        "ids": [IDS[2]],
        "segments": [f"{IDS[0]}-150"],
        "audio": [f"{IDS[1]}-10"],
        "video": [f"{IDS[1]}-20"],
    }


def test_yt360_refuses_an_id_in_both_lists_and_a_list_that_is_none(youtube):
    (youtube / "test.txt").write_text(f"{IDS[0]}\n")
    with pytest.raises(ValueError, match=r"in train\.txt or test\.txt, '-bcdefghijk' is in both"):
        Yt360().read(youtube, youtube / "out")
    (youtube / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="expected a text file"):
        Yt360().read(youtube, youtube / "out")


def test_yt360_refuses_folders_without_clips(tmp_path):
    with pytest.raises(ValueError, match="folders video and audio"):
        Yt360().read(tmp_path, tmp_path / "out")
    touch(tmp_path / "video" / "x.mp4", tmp_path / "audio" / "x.m4a")
    with pytest.raises(ValueError, match="no name has both"):
        Yt360().read(tmp_path, tmp_path / "out")


def test_files_pairs_audio_beside_the_image(tmp_path):
    touch(*(tmp_path / name for name in ("a.mp4", "b.webm", "b.wav", "c.MKV", "c.flac", "c.ogg", "d.wav", "e.txt")))
    found = {each.key: each for each in Files().read(tmp_path, tmp_path / "out").recordings}
    assert sorted(found) == ["a", "b", "c"]
    assert (found["a"].audio, found["b"].audio) == ("a.mp4", "b.wav")
    assert "found 2: c.flac, c.ogg" in found["c"].problem


def test_files_looks_everywhere_but_where_it_writes_and_what_is_hidden(tmp_path):
    touch(*(tmp_path / name for name in ("x/a.mp4", "x/y/a.mp4", "out/media/b.mp4", ".cache/c.mp4", "x/._a.mp4")))
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    found = Files().read(tmp_path, tmp_path / "out").recordings
    assert sorted(each.video for each in found) == ["x/a.mp4", "x/y/a.mp4"]


def test_files_refuses_a_folder_without_frames(tmp_path):
    touch(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="found none"):
        Files().read(tmp_path, tmp_path / "out")


def test_keys_are_safe_unique_and_do_not_depend_on_other_files(tmp_path):
    names = (
        "a.mp4",
        "A.mp4",
        "a.webm",
        "b/a.mp4",
        "b__a.mp4",
        "c d.mp4",
        "c_d.mp4",
        "-x.mp4",
        "ü.mp4",
        "z" * 200 + ".mp4",
    )
    touch(*(tmp_path / name for name in names))
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.mp4")))
    keys = [each.key for each in Files().read(tmp_path, tmp_path / "out").recordings]
    assert len({key.casefold() for key in keys}) == len(names) + 1
    assert all(len(key) < 200 and key.isascii() and "/" not in key and not key.startswith(".") for key in keys)
    assert safe_key(Path("b__a")) == "b__a"
    assert {safe_key(Path("b/a")), "b__a", "c_d", "-x"} <= set(keys)
