"""The script of the GPU window: rehearsed on a CPU, with parts that fail and parts that take too long."""

import importlib.util
import json
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "examples" / "gpu_window" / "gpu_window.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_window", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_window"] = module
    spec.loader.exec_module(module)
    return module


def test_a_part_that_fails_or_takes_too_long_is_a_row_and_the_others_go_on(script, tmp_path, monkeypatch):
    def fails(plan, seconds):
        raise ValueError("no kernel\nfor this")

    def waits(plan, seconds):
        time.sleep(30)

    parts = {
        "machine": script.PARTS["machine"],
        "fails": fails,
        "waits": waits,
        "last": lambda plan, seconds: {"a": 1.5},
    }
    monkeypatch.setattr(script, "PARTS", parts)
    plan = replace(script.REHEARSAL, seconds={"waits": 0.2})
    begun = time.monotonic()
    found = script.window(plan, tmp_path / "out", [])
    assert time.monotonic() - begun < 20
    assert found["fails"]["failed"] == "ValueError: no kernel"
    assert found["waits"]["failed"] == "OutOfTimeError: longer than its 0 s"
    assert found["last"]["a"] == 1.5
    assert found["machine"]["tflops"] > 0
    assert json.loads((tmp_path / "out" / "gpu-window.json").read_text()) == found
    assert "no kernel" in script.table(found)


def test_rates_are_those_of_the_steps_after_the_warm_up(script):
    watched = script.Watched(None, 60.0, 1)
    watched.asked, watched.given = [0.0, 10.0, 12.0, 14.0], [1.0, 10.5, 12.5, 14.5]
    found = watched.rates(8)
    assert found == {"samples_per_second": 2 * 8 / 4, "wait_share": 0.25, "first_step_seconds": 9.0}


def test_batches_end_when_the_time_after_the_warm_up_is_over(script, monkeypatch):
    class Source:
        def between(self, start, stop):
            for step in range(start, stop):
                clock[0] += 1.0
                yield {"step": step}

    clock = [0.0]
    monkeypatch.setattr(script.time, "perf_counter", lambda: clock[0])
    batches = script.Watched(Source(), 3.5, 2).between(0, 100)
    assert [each["step"] for each in islice(batches, 6)] == [0, 1, 2, 3, 4, 5]
    with pytest.raises(script.EnoughError):
        next(batches)
    assert [each["step"] for each in script.Watched(Source(), 3.5, 2).between(0, 3)] == [0, 1, 2]


def test_operations_are_those_of_the_layers(script):
    class Task(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(6, 5)

        def forward(self, batch):
            return {"loss": self.layer(batch["x"]).sum()}

    assert script.operations(Task(), {"x": torch.randn(4, 6)}) == 2 * (2 * 4 * 6 * 5)  # forward, gradient of the weight


def test_share_of_the_peak_is_operations_a_second_over_those_of_a_product(script):
    found = {"machine": {"tflops": 2.0}, "full, eager": {"samples_per_second": 10.0, "gflop_per_sample": 50.0}}
    found["full, compiled"] = {"samples_per_second": 20.0}
    shares = script.with_shares(found)
    assert shares["full, eager"]["share_of_peak"] == pytest.approx(10 * 50e9 / 2e12)
    assert shares["full, compiled"]["share_of_peak"] == pytest.approx(20 * 50e9 / 2e12)


@pytest.mark.slow
def test_the_rehearsal_measures_every_part_but_the_one_that_needs_cuda(script, tmp_path, monkeypatch):
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    script.main(["--rehearse", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "gpu-window.json").read_text())
    assert list(found) == list(script.PARTS)
    failed = {name: facts["failed"] for name, facts in found.items() if "failed" in facts}
    gpu = torch.cuda.is_available()
    assert failed.keys() == (set() if gpu else {"full, CUDA graphs"})
    assert gpu or "expected a CUDA device for its graphs" in failed["full, CUDA graphs"]
    assert {"avsa_bin", "avc_bin", "loss"} <= found["small"].keys()
    assert found["full, eager"]["share_of_peak"] > 0
    assert found["tests"]["exit_code"] == 0
    assert (tmp_path / "out" / "loss.png").is_file()
