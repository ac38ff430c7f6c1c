"""Commands of avssl in forked processes: imports are paid once, and time, memory and left processes are watched."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS = 60.0
"""A command that takes longer hangs."""
MEGABYTES = 2000.0
"""Resident memory of the largest process of a command."""
GRACE = 10.0
"""Seconds that processes of a command may live after it."""
EXIT_CODES = (0, 1, 2, 130)
"""Those that the documentation names."""
MODULES = (
    "avssl.cli", "avssl.datasets.prepare", "avssl.embedding.embed_files", "avssl.media.energy_overlay",
    "avssl.models.encoders", "avssl.report.report", "avssl.synth.synth360", "avssl.train.pretrain",
    "avssl_downstream.spatialize", "avssl_downstream.eigenscape", "soundfile", "matplotlib.pyplot",
)  # fmt: skip
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux: orphans of a command become our children, so that we see and end them."""


def warm_up() -> None:
    """Import what the commands import, once, on one thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    for name in MODULES:
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    importlib.import_module("cv2").setNumThreads(1)


@dataclass(frozen=True)
class Ended:
    """A command that ended, or was ended."""

    code: int
    """Exit code; negative: the signal that ended it."""
    seconds: float
    megabytes: float
    """Resident memory of its largest process."""
    text: str
    """Standard output and error."""
    cut: str = ""
    """Why we ended it, if we did."""
    left: int = 0
    """Processes of it that were there `GRACE` seconds later."""

    def fault(self, codes: Sequence[int] = EXIT_CODES) -> str:
        """Why it did not survive; empty if it did."""
        if self.cut:
            return self.cut
        if self.code < 0:
            return f"died of {signal.Signals(-self.code).name}"
        if "Traceback (most recent call last)" in self.text:
            return f"traceback: {last_line(self.text)}"
        if self.code not in codes:
            return f"exit code {self.code}, expected {' or '.join(map(str, codes))}: {last_line(self.text)}"
        lines = len(re.findall(r"(?m)^Error: ", self.text))
        if self.code == 2 and lines != 1:
            return f"exit code 2 with {lines} lines that begin with `Error:`: {last_line(self.text)}"
        return f"{self.left} processes left behind" if self.left else ""


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "(nothing printed)")[:300]


class Running:
    """A command in a forked process, the leader of a process group of its own.

    Args:
        arguments: of the command line, after `avssl`.
        log: file for standard output and error.
        environment: variables to set.
        before: called in the new process, such as to set limits.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        log: Path,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self.log, self.began, self.megabytes = log, time.monotonic(), 0.0
        log.touch()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _run([str(each) for each in arguments], log, environment or {}, before)
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)

    def send(self, number: int, group: bool) -> None:
        """Send a signal to the command, or to its group as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = SECONDS, megabytes: float = MEGABYTES) -> Ended:
        """Wait for the end, and end it where it takes too long or too much."""
        cut, status, usage, looked = "", 0, None, 0.0
        while usage is None:
            done, status, usage_now = os.wait4(self.pid, os.WNOHANG)
            usage = usage_now if done else None
            now = time.monotonic()
            if not done and not cut and now - looked > 0.25:
                looked = now
                cut = self._cut(now - self.began, seconds, megabytes)
                if cut:
                    os.killpg(self.pid, signal.SIGKILL)
            if not done:
                time.sleep(0.01)
        took = time.monotonic() - self.began
        peak = max(self.megabytes, usage.ru_maxrss / 1024)
        if not cut and peak > megabytes:
            cut = f"{peak:.0f} MB resident, more than {megabytes:.0f}"
        text = self.log.read_bytes().decode("utf-8", "replace")
        return Ended(os.waitstatus_to_exitcode(status), took, peak, text, cut, self._left(bool(cut)))

    def _cut(self, took: float, seconds: float, megabytes: float) -> str:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self.pid)
            for each in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    self.megabytes = max(self.megabytes, each.memory_info().rss / 2**20)
        if took > seconds:
            return f"no end after {seconds:.0f} s"
        return f"{self.megabytes:.0f} MB resident, more than {megabytes:.0f}" if self.megabytes > megabytes else ""

    def _left(self, cut: bool) -> int:
        """Number of processes of the group that outlive the command by more than the grace; ends them."""
        deadline = time.monotonic() + GRACE
        while (alive := _group(self.pid)) and time.monotonic() < deadline and not cut:
            time.sleep(0.05)
        for each in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        _reap(self.pid)
        return 0 if cut else len(alive)


def run(
    arguments: Sequence[object],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], object] = lambda: None,
    seconds: float = SECONDS,
    megabytes: float = MEGABYTES,
) -> Ended:
    """Run a command to its end, with its output in `output.txt` of a folder."""
    return Running(arguments, folder / "output.txt", environment, before).wait(seconds, megabytes)


def limit(kind: int, size: int) -> Callable[[], None]:
    """A function that sets a limit of the operating system."""
    return lambda: resource.setrlimit(kind, (size, size))


def _run(arguments: list[str], log: Path, environment: Mapping[str, str], before: Callable[[], object]) -> None:
    """Runs in the forked process, and never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(environment)
        sys.argv = ["avssl", *arguments]
        before()
        importlib.import_module("avssl.cli").main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _group(leader: int) -> list[int]:
    """Living processes of a process group; zombies do not live."""
    found = []
    for each in psutil.pids():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(each) == leader and psutil.Process(each).status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def _reap(leader: int) -> None:
    """Collect orphans of a process group, which became our children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
