import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avssl.train import checkpoint

pytestmark = pytest.mark.heavy


def test_work_of_rank_0_reaches_all_processes_and_so_does_its_error(run_tiny, tmp_path):
    process = run_tiny("first_rank", tmp_path, processes=2)
    assert process.wait(120) == 0, process.stderr.read()
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found == [{"rejected": ["a"]}, "all clips were rejected"]
    assert [path.name for path in tmp_path.glob("work-*")] == ["work-0"]


@pytest.fixture
def pair(tmp_path):
    """Starts two processes of `tiny.py` without torchrun, which would end the second one with the first."""
    started = []

    def start(**settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        shared |= {"TORCHELASTIC_RUN_ID": "none", "OMP_NUM_THREADS": 1, "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(Path(__file__).with_name("tiny.py")), "failing", str(tmp_path), "--settings"]
        for rank in (0, 1):
            own = {**shared, "RANK": rank, "LOCAL_RANK": rank}
            environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
            started.append(
                subprocess.Popen([*command, json.dumps(settings)], env=environment, stderr=subprocess.PIPE, text=True)
            )
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("where", "kind", "codes", "line"),
    [
        pytest.param("first", "interrupt", [-2, -2], "KeyboardInterrupt: odd", marks=pytest.mark.slow),
        ("first", "custom", [1, 1], "RuntimeError: OddError: odd"),
        pytest.param("result", "", [1, 1], "pickle", marks=pytest.mark.slow),
        pytest.param("machine", "type", [1, 1], "TypeError: odd", marks=pytest.mark.slow),
        pytest.param("others", "exit", [3, 3], "", marks=pytest.mark.slow),
        ("step", "", [1, 1], ""),
    ],
)
def test_whatever_one_process_raises_ends_all_in_seconds(pair, where, kind, codes, line):
    processes = pair(where=where, kind=kind)
    errors = [process.communicate(timeout=150)[1] for process in processes]
    assert [process.returncode for process in processes] == codes, errors
    assert all(line in (error.splitlines() or [""])[-1] for error in errors), errors


def test_a_killed_process_ends_the_other_at_once_in_one_line(pair, tmp_path):
    first, second = pair(where="killed", kind="")
    assert second.wait(150) == -signal.SIGKILL
    killed = time.monotonic()
    error = first.communicate(timeout=60)[1]
    assert time.monotonic() - killed < 30
    assert first.returncode == 1
    assert "InputError: another process of this run has ended" in error.splitlines()[-1], error
    assert checkpoint.load(tmp_path / checkpoint.LAST)["run"]["step"] == 2  # whole, and the run can be continued


def test_a_process_with_another_config_is_refused_in_all(pair):
    line = (
        "avssl.errors.InputError: rank 1: expected the config of rank 0, got another one (train.seed is 1 there, 0 in "
        "rank 0); give all processes the same command"
    )
    for process in pair(where="config", kind=""):
        assert process.communicate(timeout=150)[1].splitlines()[-1].endswith(line)
        assert process.returncode == 1
