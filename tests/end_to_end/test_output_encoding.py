"""Standard output that lacks signs, is closed, or is read in part: no failure after the work is done, no traceback."""

import os
import subprocess
import sys

import pytest

AVSSL = (sys.executable, "-c", "from avssl.cli import main; main(prog_name='avssl')")
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*arguments, stdout=subprocess.PIPE, **env):
    command = [*AVSSL, *map(str, arguments)]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONIO", "LC_", "LANG"))} | env
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=env, timeout=120, check=False)


@pytest.fixture
def recording(tmp_path):
    """A recording that is refused, in a folder whose names are not ASCII, not UTF-8, and in two lines."""
    root = tmp_path / os.fsdecode("caf\u00e9 \u20ac".encode() + b"\xff\n")
    root.mkdir()
    (root / os.fsdecode(b"a\xe9\n.mp4")).write_bytes(b"no film")
    return root


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        pytest.param("latin-1", "caf\xe9 ?\\xff", marks=pytest.mark.slow),
        ("ascii", "caf? ?\\xff"),
        ("utf-8", "caf\xe9 \u20ac\\xff"),
        pytest.param("cp1252", "caf\xe9 \u20ac\\xff", marks=pytest.mark.slow),
    ],
)
def test_signs_that_the_encoding_lacks_are_replaced(recording, tmp_path, encoding, shown):
    done = run("prepare", recording, tmp_path / "out", "--layout", "files", PYTHONIOENCODING=encoding, COLUMNS="500")
    assert done.returncode == 1, done.stderr
    text = done.stdout.decode(encoding)
    assert shown in text
    assert "a\\xe9\\n.mp4" in text
    assert ("\u2500" in text) == (encoding == "utf-8")  # lines of tables are of ASCII elsewhere
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("list",), ("prepare", "--help"), ("recipe", "avsa/small")])
@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, C_LOCALE], ids=["ascii", "c"])
def test_commands_print_in_ascii(command, env):
    done = run(*command, **env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


def test_a_name_that_cannot_be_shown_is_one_line(tmp_path):
    missing = tmp_path / os.fsdecode(b"caf\xe9\n\x1b[31m")
    done = run("report", missing, PYTHONIOENCODING="latin-1")
    assert done.returncode == 2
    [line] = done.stderr.decode("latin-1").splitlines()
    assert line.startswith("Error: ")
    assert "caf\\xe9 \\x1b[31m" in line


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    try:
        done = run("list", stdout=write)
    finally:
        os.close(write)
    assert done.stderr == b""


def test_output_that_is_closed_is_no_error():
    command = " ".join(map(repr, AVSSL)) + " list >&-"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
