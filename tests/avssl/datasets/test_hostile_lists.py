"""Lists and folders that others wrote: names that lead out, links to nothing, pipes, and files of absurd size."""

import csv
import inspect
import os
import random
import socket
import sys
import unicodedata
from pathlib import Path

import h5py
import numpy as np
import pytest

from avssl.datasets.dataset import Recording
from avssl.datasets.layout import FileListOptions
from avssl.datasets.layouts.files import Files, walk
from avssl.datasets.layouts.tau import Tau, TauOptions
from avssl.datasets.layouts.ucf101 import Ucf101
from avssl.datasets.layouts.video_lists import MAX_LIST, MAX_NAMES, h5_names, lines, table
from avssl.datasets.prepare import prepare
from avssl.datasets.recording_keys import checksum, safe_key, unique_keys
from avssl.errors import InputError

OUT = ["../outside/x.wav", "/etc/hostname", "audio/../../x.wav", "..\\outside\\x.wav", "C:\\x.wav"]


@pytest.fixture
def tau(tmp_path):
    """Writes TAU's lists of one clip of each kind of scene, some named otherwise."""
    root = tmp_path / "tau"
    (root / "evaluation_setup").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.wav").touch()

    def write(*names):
        names = names or ("audio/bus-lyon-1-1.wav", "audio/park-lyon-2-2.wav")
        for kind in ("train", "evaluate"):
            with (root / "evaluation_setup" / f"fold1_{kind}.csv").open("w", newline="") as file:
                writer = csv.writer(file, delimiter="\t")
                writer.writerow(["filename_audio", "filename_video", "scene_label"])
                writer.writerows([[name, name, "bus"] for name in names])
        return Tau(TauOptions(media=("video",))).read(root)

    return root, write


@pytest.mark.parametrize("name", OUT)
def test_tau_reads_no_file_outside_its_folder(tau, name):
    _, write = tau
    with pytest.raises(InputError, match=r"fold1_train\.csv: paths stay inside the data set's folder, .* does not"):
        write(name)


def test_a_linked_folder_of_media_is_read(tau, tmp_path):
    root, write = tau
    (root / "audio").symlink_to(tmp_path / "outside")
    assert [each.video for each in write("audio/x.wav").recordings] == ["audio/x.wav"]


def test_two_files_of_one_name_in_tau_are_no_one_clip(tau):
    root, write = tau
    for folder in ("audio", "other"):
        (root / folder).mkdir()
        (root / folder / "bus-lyon-1-1.wav").touch()
    with pytest.raises(InputError, match="expected a name of its own for each clip, got audio/bus.* and other/bus"):
        write("audio/bus-lyon-1-1.wav", "other/bus-lyon-1-1.wav")


def test_a_name_with_a_zero_byte_is_a_missing_file(tau):
    _, write = tau
    with pytest.raises(InputError, match="names 1 files, 1 are missing"):
        write("audio/a\0b.wav")


@pytest.mark.parametrize("name", ["../../A/x.avi", "/A/x.avi", "A/../A/x.avi"])
def test_ucf101_reads_no_file_outside_its_folder(tmp_path, name):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 A\n2 B\n")
    (lists / "trainlist01.txt").write_text(f"{name} 1\n")
    (lists / "testlist01.txt").write_text("B/y.avi\n")
    with pytest.raises(InputError, match="paths stay inside the data set's folder"):
        Ucf101(FileListOptions(missing=1.0)).read(tmp_path)


@pytest.mark.parametrize("read", [lines, table])
def test_a_list_over_the_bounds_is_refused_and_they_are_named(tmp_path, read):
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.truncate(MAX_LIST + 1)
    with pytest.raises(InputError, match="list.txt: expected .* of 64 MiB at most, got 64.0 MiB"):
        read(path)
    path.write_bytes(b"a\n" * (10 * MAX_NAMES + 1))
    with pytest.raises(InputError, match="list.txt: expected .* of 10?000000 entries at most, got 10000001"):
        read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="list.txt: expected .* in a regular file, got a named pipe"):
        read(path)


def external_link(file, other):
    file["audio"] = h5py.ExternalLink(str(other), "audio")


def soft_link(file, other):
    file["elsewhere"] = h5py.ExternalLink(str(other), "/")
    file["audio"] = h5py.SoftLink("/elsewhere/audio")


def virtual(file, other):
    layout = h5py.VirtualLayout((1,), "S4")
    layout[:] = h5py.VirtualSource(str(other), "audio", (1,))
    file.create_virtual_dataset("audio", layout)


def external_storage(file, other):
    file.create_dataset("audio", (1,), "S4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])


@pytest.mark.parametrize("write", [external_link, soft_link, virtual, external_storage])
def test_an_h5_list_leads_to_no_other_file(tmp_path, write):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["audio"] = np.array([b"leak"])
    with h5py.File(tmp_path / "list.h5", "w") as file:
        write(file, tmp_path / "other.h5")
    with pytest.raises(InputError, match="list.h5: expected audio in the file itself, got (a link|values of other)"):
        h5_names(tmp_path / "list.h5", "audio")


@pytest.mark.parametrize(
    ("shape", "kind", "chunks"),
    [((2**40,), "S8", (2**10,)), ((4,), "S1000000000", None), ((4,), "S8", (2**26,)), ((2**21,), "S8", (2**10,))],
)
def test_an_h5_list_of_absurd_size_is_refused_unread(tmp_path, shape, kind, chunks):
    with h5py.File(tmp_path / "list.h5", "w") as file:
        options = {} if chunks is None else {"chunks": chunks, "maxshape": (None,)}
        file.create_dataset("audio", shape, kind, **options)
    with pytest.raises(InputError, match="list.h5: expected 1000000 values of audio at most"):
        h5_names(tmp_path / "list.h5", "audio")


def test_names_of_an_h5_list_that_are_longer_than_paths_are_refused(tmp_path):
    with h5py.File(tmp_path / "list.h5", "w") as file:
        file["audio"] = ["a" * 5000]
    with pytest.raises(InputError, match="expected names of 4096 characters at most, got 5000"):
        h5_names(tmp_path / "list.h5", "audio")


def test_folders_that_are_nested_deeper_than_calls_are_searched(tmp_path):
    depth, calls = 200, len(inspect.stack())
    tmp_path.joinpath(*["a"] * depth).mkdir(parents=True)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(calls + depth // 2)
    try:
        found = sum(1 for _ in walk(tmp_path))
    finally:
        sys.setrecursionlimit(before)
    assert found == depth + 1


def test_links_to_nothing_and_folders_that_cannot_be_read_are_logged(tmp_path, caplog):
    (tmp_path / "lost").symlink_to(tmp_path / "unmounted")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "a.mp4").touch()
    with caplog.at_level("WARNING"):
        assert [(folder.name, below, names) for folder, below, names in walk(tmp_path)] == [
            (tmp_path.name, [], ["a.mp4", "lost", "self"])
        ]
    assert f"{tmp_path / 'lost'}: expected a folder or file behind this link, left out" in caplog.text


def test_prepare_lists_links_to_nothing_and_what_is_no_file(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    (root / "lost.mp4").symlink_to("nothing")
    os.mkfifo(root / "pipe.mp4")
    (root / "device.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "socket.mp4"))
    (root / "film.mp4").write_bytes(b"no film")
    os.mkfifo(root / "film.wav")
    assert len(Files().read(root).recordings) == 5
    report = prepare(root, tmp_path / "out", "files", workers=1, progress=False)
    reasons = {failure.source.rpartition("/")[2]: failure.reason for failure in report.failures}
    assert reasons.keys() == {"lost.mp4", "pipe.mp4", "device.mp4", "socket.mp4", "film.mp4"}
    assert "there is no such file that the link leads to" in reasons["lost.mp4"]
    for name in ("pipe", "device", "socket"):
        assert f"in a regular file, got a {'named pipe' if name == 'pipe' else name}" in reasons[f"{name}.mp4"]


def test_keys_are_unique_where_checksums_are_not():
    rng, seen = random.Random(0), {}
    while True:  # names that are plain in no letter, as in many languages: a pair of one checksum is soon found
        name = "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(4)) + ".mp4"
        other = seen.setdefault(checksum(Path(name[:-4])), name)
        if other != name:
            break
    keys = [safe_key(Path(each[:-4])) for each in (name, other)]
    assert keys[0] == keys[1]
    found = unique_keys([Recording(key, each, each) for key, each in zip(keys, (name, other), strict=True)])
    assert len({each.key for each in found}) == 2
    assert all(len(each.key) < 200 for each in found)


@pytest.mark.parametrize(
    "names", [("a", "A"), ("caf\u00e9", "cafe\u0301"), ("\ufb01", "fi"), ("a b", "a_b"), ("a", "a.b")]
)
def test_names_that_some_file_systems_take_for_one_have_keys_apart(tmp_path, names):
    for name in names:
        (tmp_path / f"{name}.mp4").touch()
    keys = [each.key for each in Files().read(tmp_path).recordings]
    assert len({unicodedata.normalize("NFKC", key).casefold() for key in keys}) == len(list(tmp_path.iterdir())) == 2
