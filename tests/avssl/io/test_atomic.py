import os
import platform
import subprocess
import sys

import pytest

from avssl.errors import InputError
from avssl.io.atomic import replacing, sweep, write_text


def left_by(process, folder, name="a"):
    path = folder / f".{name}.part-{platform.node()}-{process}.txt"
    path.write_text("half")
    return path


@pytest.fixture
def dead():
    """A process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_file_is_whole_or_as_before(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(TypeError), replacing(path) as part:
        part.write_bytes("no bytes")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_processes_left_of_a_file_goes_and_what_living_ones_write_stays(tmp_path, dead):
    left_by(dead, tmp_path)
    other, living = left_by(dead, tmp_path, "b"), left_by(1, tmp_path)
    write_text(tmp_path / "a.txt", "whole")
    assert {*tmp_path.iterdir()} == {tmp_path / "a.txt", other, living}
    sweep(tmp_path)
    assert {*tmp_path.iterdir()} == {tmp_path / "a.txt", living}


def test_names_with_signs_of_patterns_are_only_themselves(tmp_path, dead):
    other = left_by(dead, tmp_path, "ab")
    write_text(tmp_path / "[ab]*.txt", "whole")
    assert other.exists()


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_is_never_replaced_by_a_file(tmp_path, kind):
    path = tmp_path / "out.json"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(InputError, match="expected an output in a regular file, got a"):
        write_text(path, "{}")
    assert not path.is_file()
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "\u4e2d" * 83 + ".json", "y" * 121 + ".json"])
def test_a_file_with_the_longest_name_is_written(tmp_path, name):
    write_text(tmp_path / name, "first")
    write_text(tmp_path / name, "second")
    assert (tmp_path / name).read_text() == "second"
    assert [each.name for each in tmp_path.iterdir()] == [name]
