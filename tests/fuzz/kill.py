"""Commands killed at random moments and run again: results are those of an uninterrupted run.

    python tests/fuzz/kill.py pretrain embed --count 30 --seed 1

A trial starts a command, sends SIGKILL, SIGTERM, SIGINT (Ctrl-C) or SIGHUP (a closed terminal) at a random moment of
its duration, once or several times, and then lets it end. It survives if all files are as without the kills, metrics
included (times and speeds apart), no temporary file and no process is left, and no traceback was printed.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from folders import Digest, curves, difference, digest, leftovers
from forked import Ended, Running, last_line, warm_up
from kill_commands import COMMANDS, READERS, Killable, write_shared
from tally import Tally, arguments, parsed, workplace

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TO_GROUP = (signal.SIGINT, signal.SIGHUP)
"""A terminal sends these to all processes of a command."""
MOST_KILLS = 4
"""Of one trial."""
SECONDS = 300.0


def start(command: Killable, trial: Path, shared: Path, *more: object, log: str = "output.txt") -> Running:
    """Start a command, with more options, in the folder of a trial."""
    path = trial / log
    path.unlink(missing_ok=True)
    return Running((*command.arguments(trial, shared), *more), path, {"AVSSL_CACHE": str(trial / "cache")})


def make_ready(command: Killable, trial: Path, shared: Path) -> None:
    """An empty folder with what a command needs in it."""
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir()
    command.ready(trial, shared)


def result(trial: Path) -> Digest:
    """Digest of what a command wrote."""
    return digest(trial / "out", READERS) | {"scalars": curves(trial / "out")}


def interrupted(
    command: Killable, trial: Path, shared: Path, moment: float, number: signal.Signals
) -> tuple[Ended, str]:
    """Start a command, send it a signal after so many seconds, and wait; with the fault."""
    running = start(command, trial, shared)
    time.sleep(moment)
    running.send(number, number in TO_GROUP)
    ended = running.wait(SECONDS)
    if ended.cut or ended.left:
        return ended, ended.fault()
    if number != signal.SIGKILL and "Traceback (most recent call last)" in ended.text:
        return ended, f"traceback: {last_line(ended.text)}"
    return ended, ""


def finished(command: Killable, trial: Path, shared: Path) -> str:
    """Run a command to its end; returns the fault."""
    ended = start(command, trial, shared).wait(SECONDS)
    return ended.fault((0,))


def attempt(
    command: Killable, trial: Path, shared: Path, wanted: Digest, length: float, rng: np.random.Generator
) -> tuple[str, str]:
    """Kill a command once or several times, let it end, and compare; returns what was done, and the fault."""
    make_ready(command, trial, shared)
    done = []
    for _ in range(min(MOST_KILLS, int(rng.geometric(0.6)))):
        number, moment = SIGNALS[rng.integers(len(SIGNALS))], float(rng.uniform(0, length))
        done.append(f"{number.name} at {moment:.2f} s")
        if fault := interrupted(command, trial, shared, moment, number)[1]:
            return ", ".join(done), fault
    fault = finished(command, trial, shared) or difference(wanted, result(trial))
    left = leftovers(trial / "out") + leftovers(trial / "cache")
    return ", ".join(done), fault or (f"left over: {', '.join(left[:4])}" if left else "")


def main() -> int:
    """Try and report."""
    options = parsed(arguments(__doc__.splitlines()[0], 30, tuple(COMMANDS)))
    warm_up()
    tally = Tally(options.keep)
    with workplace() as place:
        write_shared(place / "shared", options.only)
        for name in options.only:
            command, trial = COMMANDS[name], place / "trial"
            make_ready(command, trial, place / "shared")
            began = time.monotonic()
            whole = start(command, trial, place / "shared").wait(SECONDS)
            length, wanted = time.monotonic() - began, result(trial)
            assert whole.code == 0, whole.text
            tally.measure(name, whole)
            for number in range(options.first, options.first + options.count):
                rng = np.random.default_rng([options.seed, number])
                title, fault = attempt(command, trial, place / "shared", wanted, length, rng)
                tally.note(name, f"{number} ({title})", fault)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
