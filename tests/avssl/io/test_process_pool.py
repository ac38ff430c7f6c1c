"""Worker processes and what kills them."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from avssl.errors import InputError
from avssl.io import process_pool
from avssl.io.process_pool import CrashError, HangError, ordered_outcomes, outcomes
from avssl.io.worker_note import beat, note_file
from avssl.io.worker_settings import patience, start_method


def half_or_crash(number):
    if number == 3:
        os._exit(9)
    if number == 4:
        raise ValueError("four")
    return number / 2


def test_a_job_that_kills_its_process_costs_only_itself():
    found = dict(outcomes(half_or_crash, range(7), 2))
    assert isinstance(found[3], CrashError)
    assert isinstance(found[3], ValueError)  # one line on the command line
    assert str(found[4]) == "four"
    assert {number: found[number] for number in (0, 1, 2, 5, 6)} == {0: 0.0, 1: 0.5, 2: 1.0, 5: 2.5, 6: 3.0}


def dies(number):
    """Number 2 dies by itself, 5 is killed, 7 crashes; each has noted its file."""
    note_file(Path(f"{number}.mp4"))
    if number == 2:
        os._exit(3)
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7:
        os.abort()
    return number * number


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_jobs_that_kill_their_process_are_named_and_the_others_keep_their_order(workers):
    found = list(ordered_outcomes(dies, range(10), workers))
    assert [number for number, _ in found] == list(range(10))
    said = {number: str(outcome) for number, outcome in found if isinstance(outcome, InputError)}
    assert said == {
        number: f"{number}.mp4: its worker process died, twice ({cause}): a crash, or want of memory"
        for number, cause in ((2, "exit code 3"), (5, "Killed"), (7, "Aborted"))
    }
    assert [outcome for number, outcome in found if number not in said] == [0, 1, 9, 16, 36, 64, 81]


def sleeps(number):
    """Number 1 hangs, number 2 takes longer than patience lasts, and says that it goes on."""
    note_file(Path(f"{number}.mp4"))
    if number == 1:
        time.sleep(1000)
    for _ in range(50 if number == 2 else 0):
        time.sleep(0.1)
        beat()
    return number


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_job_that_hangs_is_ended_and_named_and_the_others_are_done(start):
    found = dict(ordered_outcomes(sleeps, range(5), 2, patience=3.0, start=start))
    assert {number: found.pop(number) for number in (0, 2, 3, 4)} == {0: 0, 2: 2, 3: 3, 4: 4}
    assert isinstance(found[1], HangError)
    assert str(found[1]) == (
        "1.mp4: its worker process made no progress for 3 s and was ended: a decoder that hangs, or a disk that does "
        "not answer; leave the file out, or wait longer with AVSSL_PATIENCE=SECONDS"
    )


def test_other_jobs_of_a_file_that_hangs_are_given_up():
    began = time.monotonic()
    found = list(ordered_outcomes(sleeps, [1, 1, 1, 0], 1, group=str, patience=2.0))
    assert [isinstance(outcome, HangError) for _, outcome in found] == [True, True, True, False]
    assert time.monotonic() - began < 60


def test_a_consumer_that_takes_its_time_makes_no_process_silent(monkeypatch):
    monkeypatch.setattr(process_pool, "TICK", 0.1)
    for number, outcome in ordered_outcomes(half_or_crash, range(3), 1, patience=0.5):
        time.sleep(1.0)
        assert outcome == number / 2


def bus_error(number):
    os.kill(os.getpid(), signal.SIGBUS)


def test_shared_memory_without_room_is_named():
    ((_, outcome),) = ordered_outcomes(bus_error, [0], 1)
    assert str(outcome) == (
        "its worker process died, twice (Bus error): shared memory (/dev/shm) has no room; give it more, or use fewer "
        "workers or a smaller batch"
    )


def test_work_that_cannot_be_pickled_is_refused_for_spawned_processes():
    with pytest.raises(InputError, match="expected work that can be pickled.*define it in a module, or set") as error:
        list(ordered_outcomes(lambda number: number, [0], 1, start="spawn"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("variable", "value"), [("AVSSL_PATIENCE", "soon"), ("AVSSL_PATIENCE", "0"),
                                                 ("AVSSL_PATIENCE", "nan"), ("AVSSL_START", "thread")])  # fmt: skip
def test_settings_of_the_environment_are_checked(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=f"^{variable}: expected .* got '{value}'$"):
        patience() if variable == "AVSSL_PATIENCE" else start_method()


def test_an_innocent_job_of_a_killed_process_is_done_again(tmp_path):
    def killed_once(number):
        if number == 1 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert list(ordered_outcomes(killed_once, range(5), 2)) == [(number, number) for number in range(5)]


def test_further_jobs_of_a_group_that_crashed_are_given_up(tmp_path):
    def crash(number):
        if number < 20:
            (tmp_path / f"{number}-{os.getpid()}").touch()
            os.abort()
        return number

    found = list(ordered_outcomes(crash, range(24), 2, group=lambda number: number // 20))
    assert [isinstance(outcome, CrashError) for _, outcome in found] == [True] * 20 + [False] * 4
    assert len(list(tmp_path.iterdir())) <= 10  # those read ahead, twice


class StubbornError(Exception):
    """Cannot be pickled back."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_stubborn(number):
    raise StubbornError(number, number)


@pytest.mark.parametrize("pool", [outcomes, ordered_outcomes])
def test_an_exception_that_cannot_travel_keeps_its_text(pool):
    ((_, error),) = pool(raise_stubborn, [4], 1)
    assert str(error) == "StubbornError: 4 and 4"
    assert "raise_stubborn" in error.__notes__[0]


SCRIPT = """
    import sys, time
    from pathlib import Path
    from avssl.printable_text import printable
    from avssl.io.process_pool import ordered_outcomes, outcomes
    print("once", flush=True)
    print([found for _, found in outcomes(printable, [Path("a"), Path("b")], 1)])
    class Own(Path("x").__class__):
        pass
    print([found for _, found in outcomes(printable, [Own("c")], 1)])
    print([found for _, found in ordered_outcomes(lambda path: path.name, [Own("d")], 1)])
"""


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_script_needs_no_main_guard(tmp_path, way):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with script.open() as file:
        command = [sys.executable, str(script)] if way == "file" else [sys.executable, "-"]
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "once\n['a', 'b']\n['c']\n['d']\n"


ENDLESS = """
    import time
    from functools import partial
    from avssl.io.process_pool import ordered_outcomes, outcomes
    for _ in {pool}(time.sleep, [0, 0, 1000, 1000], 2):
        print("job", flush=True)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["outcomes", "ordered_outcomes"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_workers_end_with_their_parent_in_silence(pool, blow):
    code = textwrap.dedent(ENDLESS.format(pool=pool))
    run = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)\n" + code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert [run.stdout.readline() for _ in range(2)] == ["job\n"] * 2
    children = psutil.Process(run.pid).children(recursive=True)
    time.sleep(0.5)
    os.killpg(run.pid, blow) if blow != signal.SIGKILL else run.kill()
    _, said = run.communicate(timeout=30)
    assert said.count("Traceback") == (blow == signal.SIGINT)  # of the script itself
    assert not psutil.wait_procs(children, timeout=5)[1]


def warned(number):
    logging.getLogger("avssl.media").warning("file %d is odd", number)
    logging.getLogger("avssl.media").info("nothing to see")
    return number


def test_warnings_of_workers_are_logged_by_the_process_that_has_handlers(caplog):
    with caplog.at_level(logging.INFO, "avssl"):
        assert sorted(result for _, result in outcomes(warned, [1, 2], 2)) == [1, 2]
    assert sorted(caplog.messages) == ["file 1 is odd", "file 2 is odd"]


class Unloadable:
    """A callable that a spawned process cannot load, as a library for which there is no memory."""

    def __reduce__(self):
        return raise_import_error, ()

    def __call__(self, job):
        return job


def raise_import_error():
    raise ImportError("libtorch.so: failed to map segment from shared object")


def test_a_process_that_cannot_start_for_want_of_memory_is_one_line(capfd):
    with pytest.raises(InputError, match=r"^a worker process cannot start: too little memory \(libtorch.so: failed to"):
        list(outcomes(Unloadable(), [1, 2], 2))
    assert capfd.readouterr().err == ""
