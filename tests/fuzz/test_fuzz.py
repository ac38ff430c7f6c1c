"""The scripts of this folder: a few trials of each, and more in the slow tier."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MORE = {"corrupt.py": 200, "kill.py": 10, "limits.py": 3, "together.py": 6, "hostile.py": 60}
"""Trials of each in the slow tier."""


def survivors(script, *arguments):
    """Run a script; returns its last line, after the exit code was seen to be that of no fault."""
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("script", "arguments", "tried"),
    [
        ("corrupt.py", ("prepare", "--count", 4), 4),
        ("corrupt.py", ("embed", "--count", 6, "--seed", 2), 6),
        ("corrupt.py", ("energy", "--count", 6, "--first", 16), 6),
        pytest.param("corrupt.py", ("spatialize", "--count", 1, "--first", 7), 1, marks=pytest.mark.slow),
        ("kill.py", ("synth", "--count", 1), 1),
        pytest.param("kill.py", ("energy", "pretrain", "--count", 1), 2, marks=pytest.mark.slow),
        pytest.param(
            "limits.py",
            ("full-disk", "file-size", "memory", "--count", 1, "--commands", "synth"),
            (2, 3),
            marks=pytest.mark.slow,
        ),
        ("together.py", ("synth", "--count", 2), 2),
        ("hostile.py", ("manifest", "encoders", "recipe", "sofa", "--count", 3), 12),
    ],
)
def test_a_few_trials_of_each_script_survive(script, arguments, tried):
    allowed = tried if isinstance(tried, tuple) else (tried,)  # a full disk is left out where mounting is not allowed
    line = survivors(script, *arguments)
    assert line.startswith(tuple(f"tried {each}, survived {each}, " for each in allowed))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("script", "count"), MORE.items())
def test_many_trials_of_each_script_survive(script, count):
    assert survivors(script, "--count", count, "--seed", 5).startswith("tried ")
