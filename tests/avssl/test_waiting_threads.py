"""Settings of the thread pools of libgomp and OpenBLAS, which are read once, when torch and numpy load them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT")


def of_libgomp(program: str, **environment: str) -> dict[str, str]:
    """The settings that libgomp prints when `program` loads it."""
    clean = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    run = subprocess.run(
        [sys.executable, "-c", program], env=clean | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.split("=", 1) for line in run.stderr.splitlines() if "=" in line]
    return {name.strip(): value.strip(" '") for name, value in lines}


@pytest.mark.parametrize("program", ["import avssl, torch", "import avssl.cli; import sklearn.svm, torch"])
def test_threads_that_wait_sleep_soon(program: str) -> None:
    assert of_libgomp(program)["GOMP_SPINCOUNT"] == "1000"


def test_settings_of_the_user_are_kept() -> None:
    assert of_libgomp("import avssl, torch", GOMP_SPINCOUNT="7")["GOMP_SPINCOUNT"] == "7"
    assert of_libgomp("import avssl, torch", OMP_WAIT_POLICY="ACTIVE")["GOMP_SPINCOUNT"] != "1000"


def test_blas_threads_sleep_soon_too_unless_set() -> None:
    program = "import avssl, os, sys; print('OPENBLAS =', os.environ['OPENBLAS_THREAD_TIMEOUT'], file=sys.stderr)"
    assert of_libgomp(program)["OPENBLAS"] == "4"
    assert of_libgomp(program, OPENBLAS_THREAD_TIMEOUT="20")["OPENBLAS"] == "20"
