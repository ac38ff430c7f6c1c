import platform
import subprocess
import sys

import pytest

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
