import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TINY = Path(__file__).with_name("tiny.py")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny():
    """The module `tiny.py`."""
    spec = importlib.util.spec_from_file_location("avssl_tiny", TINY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_tiny():
    """Starts `tiny.py` as a program, in `processes` processes; ends it if the test does not."""
    started = []

    def start(what, folder, processes=1, **settings):
        many = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
        command = [sys.executable, *many, str(TINY), what, str(folder), "--settings", json.dumps(settings)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        started.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def same_bits():
    """Asserts that two checkpoints hold the same weights and optimiser state, bit for bit."""

    def check(one, other):
        one, other = (torch.load(path, weights_only=True) for path in (one, other))
        assert one["run"]["step"] == other["run"]["step"]
        assert one["run"]["loss"] == other["run"]["loss"]
        flat = [(dict(each["task"]), each["optimizer"]["state"]) for each in (one, other)]
        assert flat[0][0].keys() == flat[1][0].keys()
        for name, value in flat[0][0].items():
            assert torch.equal(value, flat[1][0][name]), name
        for index, state in flat[0][1].items():
            for name, value in state.items():
                assert torch.equal(value, flat[1][1][index][name]), (index, name)

    return check
