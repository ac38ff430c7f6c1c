import os
import signal
import time
from pathlib import Path

import pytest
import torch

from avssl.train import checkpoint

pytestmark = pytest.mark.heavy


def wait_for(path, step, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.is_file() and torch.load(path, weights_only=True)["run"]["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} in {path} after {seconds} s")


@pytest.fixture
def whole(tiny, tmp_path):
    """The last checkpoint of a run of 12 steps that nothing interrupted."""
    tiny.train(tmp_path / "whole")
    return tmp_path / "whole" / checkpoint.LAST


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()


def test_12_steps_equal_6_and_6(tiny, tmp_path, monkeypatch, whole, same_bits):
    parts = tmp_path / "parts"
    stream = tiny.Stream.between

    def interrupted(self, start, stop):
        for step, batch in zip(range(start, stop), stream(self, start, stop), strict=True):
            if step == 6 and start == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(tiny.Stream, "between", interrupted)
    with pytest.raises(SystemExit) as end:
        tiny.train(parts)
    assert end.value.code == 0
    assert checkpoint.load(parts / checkpoint.LAST)["run"]["step"] == 6
    tiny.train(parts)
    same_bits(whole, parts / checkpoint.LAST)


def test_a_stop_where_nothing_is_saved_is_an_interruption(tiny, monkeypatch):
    monkeypatch.setattr(tiny.Stream, "between", lambda *_: iter([signal.raise_signal(signal.SIGINT) or {}]))
    with pytest.raises(KeyboardInterrupt):
        tiny.train(None)


def test_a_longer_run_continues_a_shorter_one(tiny, tmp_path, monkeypatch, same_bits):
    monkeypatch.setattr(tiny, "OPTIM", tiny.OptimConfig(lr=1e-2))
    tiny.train(tmp_path / "whole", steps=12)
    tiny.train(tmp_path / "parts", steps=6)
    tiny.train(tmp_path / "parts", steps=12)
    same_bits(tmp_path / "whole" / checkpoint.LAST, tmp_path / "parts" / checkpoint.LAST)


def test_kill_9_and_continue_gives_the_same_bits(run_tiny, tmp_path, whole, same_bits):
    parts = tmp_path / "parts"
    for step in (2, 6):
        process = run_tiny("train", parts, pause=0.15)
        wait_for(parts / checkpoint.LAST, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert checkpoint.load(parts / checkpoint.LAST)["run"]["step"] < 12
    process = run_tiny("train", parts)
    assert process.wait(60) == 0, process.stderr.read()
    same_bits(whole, parts / checkpoint.LAST)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_exits_0(run_tiny, tmp_path, number, whole, same_bits):
    parts = tmp_path / "parts"
    process = run_tiny("train", parts, pause=0.15, save_every=3)
    wait_for(parts / checkpoint.LAST, 3)
    process.send_signal(number)
    assert process.wait(60) == 0
    errors = process.stderr.read()
    assert f"{number.name}: ended after step" in errors
    assert "Traceback" not in errors
    process = run_tiny("train", parts)
    assert process.wait(60) == 0
    same_bits(whole, parts / checkpoint.LAST)


def test_a_second_interrupt_aborts(run_tiny, tmp_path):
    process = run_tiny("train", tmp_path / "parts", pause=1.0, save_every=1, steps=4)
    wait_for(tmp_path / "parts" / checkpoint.LAST, 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert "KeyboardInterrupt" in process.stderr.read()


def test_a_signal_to_one_of_two_processes_stops_both(run_tiny, tmp_path):
    parts = tmp_path / "parts"
    process = run_tiny("train", parts, processes=2, pause=0.3, steps=40, save_every=1)
    wait_for(parts / checkpoint.LAST, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    assert process.wait(60) == 0, process.stderr.read()
    assert checkpoint.load(parts / checkpoint.LAST)["run"]["step"] < 40
