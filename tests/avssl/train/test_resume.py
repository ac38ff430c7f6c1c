import os
import signal
import subprocess
import sys
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSCTTY

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avssl.io.interrupts import exit_code
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


TIMES = {"clips_per_second", "wait_share", "memory_mb", "train_seconds"}
"""What differs between any two runs."""


def scalars(folder):
    """TensorBoard's scalars of a run folder as a reader sees them: tag -> steps and values."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag not in TIMES
    }


def numbers(path):
    """State of a run without its times."""
    run = checkpoint.load(path)["run"]
    kept = {name: value for name, value in run["scalars"].items() if name not in TIMES}
    return kept, run["curve"], run["loss"], run["step"], run["clips"]


def same_metrics(one, other):
    assert numbers(one / checkpoint.LAST) == numbers(other / checkpoint.LAST)
    assert {"loss", "level", "grad_norm", "lr", "spread/video"} <= scalars(one).keys()
    assert scalars(one) == scalars(other)


@pytest.mark.parametrize("kills", [(1,), (3,), (5,), (9,), (2, 7), (5, 6), (1, 2, 3, 11)])
def test_metrics_of_a_killed_run_are_those_of_an_uninterrupted_one(tiny, tmp_path, monkeypatch, kills):
    """Logs every 4 steps, checkpoints every 3: intervals are cut at every place."""
    settings = {"log_every": 4, "save_every": 3, "steps": 14}
    tiny.train(tmp_path / "whole", **settings)
    stream = tiny.Stream.between

    def killed(at):
        def between(self, start, stop):
            for step, batch in zip(range(start, stop), stream(self, start, stop), strict=True):
                if step == at:
                    raise KeyError("killed")
                yield batch

        return between

    for at in kills:
        monkeypatch.setattr(tiny.Stream, "between", killed(at))
        with pytest.raises(KeyError, match="killed"):
            tiny.train(tmp_path / "parts", **settings)
    monkeypatch.setattr(tiny.Stream, "between", stream)
    tiny.train(tmp_path / "parts", **settings)
    same_metrics(tmp_path / "whole", tmp_path / "parts")
    assert [step for step, _ in numbers(tmp_path / "whole" / checkpoint.LAST)[1]] == [4, 8, 12, 14]


def test_metrics_of_a_longer_run_are_those_of_one_that_was_as_long_from_the_start(tiny, tmp_path, monkeypatch):
    """The last log of the shorter run was of half an interval, which the longer one goes on with."""
    monkeypatch.setattr(tiny, "OPTIM", tiny.OptimConfig(lr=1e-2))
    tiny.train(tmp_path / "whole", steps=12)
    for steps in (6, 6, 7, 12):
        tiny.train(tmp_path / "parts", steps=steps)
    same_metrics(tmp_path / "whole", tmp_path / "parts")


def test_a_stop_between_a_log_and_a_checkpoint_saves_the_interval(tiny, tmp_path, monkeypatch):
    settings = {"log_every": 4, "save_every": 3, "steps": 14}
    tiny.train(tmp_path / "whole", **settings)
    stream = tiny.Stream.between
    for at in (5, 11):
        monkeypatch.setattr(tiny.Stream, "between", signalled(stream, at))
        with pytest.raises(SystemExit):
            tiny.train(tmp_path / "parts", **settings)
        assert checkpoint.load(tmp_path / "parts" / checkpoint.LAST)["run"]["step"] == at
    monkeypatch.setattr(tiny.Stream, "between", stream)
    tiny.train(tmp_path / "parts", **settings)
    same_metrics(tmp_path / "whole", tmp_path / "parts")


def test_a_stop_before_the_first_log_saves_in_a_folder_that_nothing_has_made(tiny, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "fold1"
    monkeypatch.setattr(tiny.Stream, "between", signalled(tiny.Stream.between, 2))
    with pytest.raises(SystemExit):
        tiny.train(folder, save_every=50)
    assert checkpoint.load(folder / checkpoint.LAST)["run"]["step"] == 2


def signalled(stream, at):
    """A stream of batches that asks to stop before the step `at`."""

    def between(self, start, stop):
        for step, batch in zip(range(start, stop), stream(self, start, stop), strict=True):
            if step == at:
                signal.raise_signal(signal.SIGTERM)
            yield batch

    return between


def test_a_finished_run_that_is_asked_again_keeps_its_last_log(tiny, tmp_path):
    first = tiny.train(tmp_path / "whole", steps=6)
    before = numbers(tmp_path / "whole" / checkpoint.LAST)
    assert tiny.train(tmp_path / "whole", steps=6) == first
    assert numbers(tmp_path / "whole" / checkpoint.LAST) == before
    assert before[1][-1][0] == 6


@pytest.mark.parametrize("spoil", [{"counts": ["a"]}, {"names": 3}, {"sums": [[1.0]]}, {"sums": torch.zeros(0, 0)}])
def test_a_spoiled_interval_is_one_line(tiny, tmp_path, spoil):
    tiny.train(tmp_path / "parts", steps=6)
    path = tmp_path / "parts" / checkpoint.LAST
    state = checkpoint.load(path)
    state["run"]["interval"] |= spoil
    checkpoint.save(path, state)
    with pytest.raises(ValueError, match=r"last\.ckpt: the interval in the run's state is spoiled: ") as caught:
        tiny.train(tmp_path / "parts", steps=7)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_two_processes_killed_and_continued_give_the_same_metrics(run_tiny, tmp_path):
    for name, pause in (("whole", 0.0), ("parts", 0.3)):
        process = run_tiny("train", tmp_path / name, processes=2, pause=pause, save_every=3)
        if name == "parts":
            wait_for(tmp_path / name / checkpoint.LAST, 6)
            os.kill(int(children(process)[-1]), signal.SIGKILL)
            assert process.wait(60) != 0
            assert numbers(tmp_path / name / checkpoint.LAST)[3] < 12
            process = run_tiny("train", tmp_path / name, processes=2)
        assert process.wait(60) == 0, process.stderr.read()
    same_metrics(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_with_another_number_of_processes(tiny, run_tiny, tmp_path):
    settings = {"dropout": 0.0, "precision": "32-true", "log_every": 2, "save_every": 1}
    tiny.train(tmp_path / "whole", **settings)
    for processes, stop in ((2, 3), (1, 7), (2, 12)):
        process = run_tiny(
            "train", tmp_path / "parts", processes=processes, pause=0.3 if stop < 12 else 0.0, **settings
        )
        if stop < 12:
            wait_for(tmp_path / "parts" / checkpoint.LAST, stop, 240)
            os.kill(int(children(process)[-1]) if processes > 1 else process.pid, signal.SIGTERM)
        assert process.wait(240) == 0, process.stderr.read()
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST)["run"] for name in ("whole", "parts"))
    assert [step for step, _ in other["curve"]] == [step for step, _ in one["curve"]] == [2, 4, 6, 8, 10, 12]
    assert [loss for _, loss in other["curve"]] == pytest.approx([loss for _, loss in one["curve"]], rel=1e-4)
    assert other["clips"] == one["clips"] == 12 * 8


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stop_where_nothing_is_saved_is_an_interruption(tiny, monkeypatch, number, code):
    monkeypatch.setattr(tiny.Stream, "between", lambda *_: iter([signal.raise_signal(number) or {}]))
    with pytest.raises(KeyboardInterrupt) as stopped:
        tiny.train(None)
    assert exit_code(stopped.value) == code


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
    same_metrics(whole.parent, parts)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGHUP))],
)
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_first_step_says_that_nothing_is_saved(tiny, tmp_path, monkeypatch, caplog, number):
    stream = tiny.Stream.between

    def stopped(self, start, stop):
        signal.raise_signal(number)
        return stream(self, start, stop)

    monkeypatch.setattr(tiny.Stream, "between", stopped)
    caplog.set_level("INFO", "avssl")
    folder = tmp_path / "parts"
    with pytest.raises(SystemExit):
        tiny.train(folder)
    ended = f"{number.name}: ended after step 0 of 12; nothing to save yet, the same command begins anew in {folder}"
    assert caplog.messages == [ended]
    assert not list(folder.iterdir())
    monkeypatch.setattr(tiny.Stream, "between", stream)
    tiny.train(folder, steps=3)
    monkeypatch.setattr(tiny.Stream, "between", stopped)
    with pytest.raises(SystemExit):
        tiny.train(folder)
    assert caplog.messages[-1] == f"{number.name}: ended after step 3 of 12; saved, the same command continues {folder}"


def test_a_closed_terminal_saves_and_the_run_goes_on_to_the_same_bits(tmp_path, whole, same_bits):
    """The progress bar and the last message go to a terminal that is not there any more."""
    import pty

    parts = tmp_path / "parts"
    main, terminal = pty.openpty()
    tiny_file = str(Path(__file__).with_name("tiny.py"))
    command = [sys.executable, tiny_file, "train", str(parts), "--settings", '{"pause": 0.15}']
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TERM": "xterm"}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    process = subprocess.Popen(
        command, **streams, env=environment, start_new_session=True, preexec_fn=lambda: ioctl(0, TIOCSCTTY, 0)
    )
    os.close(terminal)
    wait_for(parts / checkpoint.LAST, 4)
    os.close(main)
    assert process.wait(60) in (0, 120)  # 120: Python could not flush the terminal's streams
    assert 4 <= checkpoint.load(parts / checkpoint.LAST)["run"]["step"] < 12
    again = subprocess.run([*command[:-1], "{}"], env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    same_bits(whole, parts / checkpoint.LAST)


def test_a_run_under_nohup_outlives_its_terminal(run_tiny, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; processes inherit it
    try:
        process = run_tiny("train", tmp_path / "parts", pause=0.1)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(tmp_path / "parts" / checkpoint.LAST, 2)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0, process.stderr.read()
    assert checkpoint.load(tmp_path / "parts" / checkpoint.LAST)["run"]["step"] == 12


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
    os.kill(int(children(process)[-1]), signal.SIGTERM)
    assert process.wait(60) == 0, process.stderr.read()
    assert checkpoint.load(parts / checkpoint.LAST)["run"]["step"] < 40
