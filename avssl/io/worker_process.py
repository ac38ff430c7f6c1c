"""One worker process: jobs and outcomes over a pipe; deaf to signals, ended with its parent, its crash attributed."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import Finalize
from types import ModuleType
from typing import Any
from weakref import WeakSet

from avssl.errors import InputError, is_input_error, one_line
from avssl.io.worker_note import WorkerNote, keep_note

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals of a terminal or a scheduler: the parent ends its workers."""
PARENT_CHECK = 0.5
"""Interval in seconds at which a worker looks for its parent."""
PATIENCE = 10.0
"""Seconds in which an idle worker ends by itself."""
READY = -1
"""Number of the message that a worker sends before its first job."""
_parents_ends: WeakSet[Worker] = WeakSet()


class WorkerDiedError(Exception):
    """The worker process has ended, by itself or by a signal."""


class Worker:
    """A process that does jobs one after the other.

    Args:
        work: called in the process with a job; pickled where the process is spawned.
        start: `fork`, which inherits `work` and all that it refers to, or `spawn`, a clean process.
        init: called once in the process.
    """

    def __init__(self, work: Callable[[Any], Any], start: str, init: Callable[[], object] | None) -> None:
        context = multiprocessing.get_context(start)
        self.running: deque[int] = deque()
        """Numbers of the submitted jobs, the first is under way."""
        self.ready = False
        """Whether the process has started."""
        self._owner = os.getpid()
        if start == "spawn":
            resource_tracker.ensure_running()  # here, since its start lets signals through
        self.note = WorkerNote(context)
        """What the process shares with this one."""
        self.silence = 0.0
        """Seconds in which this process waited for it and saw no progress."""
        self._beats = 0
        self.pipe, theirs = context.Pipe()
        _parents_ends.add(self)
        task: Any = (work, init) if start == "fork" else _pickled(work, init)
        arguments = (theirs, task, os.getpid(), self.note)
        self.process: Any = context.Process(target=_serve, args=arguments, daemon=True)  # type: ignore[attr-defined]
        with _signals_held(), _main_hidden(start):
            self.process.start()
        theirs.close()
        # Before multiprocessing ends daemons by SIGTERM, which they do not receive, and waits for them.
        self._at_exit = Finalize(self, self.process.kill, exitpriority=100)

    def submit(self, number: int, job: Any) -> None:
        """Send a job.

        Raises:
            WorkerDiedError: the process is dead; the job does not count as under way.
        """
        try:
            self.pipe.send((number, job))
        except ConnectionError as error:
            raise WorkerDiedError from error
        self.running.append(number)

    def receive(self) -> tuple[int, Any] | None:
        """Number of a finished job and its result or exception; None for the message that the process has started.

        Raises:
            WorkerDiedError: the process is dead.
        """
        try:
            number, outcome, messages = self.pipe.recv()
        except (EOFError, ConnectionError, FileNotFoundError) as error:  # also from tensors whose owner is gone
            raise WorkerDiedError from error
        for name, level, message in messages:
            logging.getLogger(name).log(level, "%s", message)
        if number == READY:
            self._started(outcome)
            return None
        self.running.remove(number)
        return number, outcome

    def _started(self, error: Exception | None) -> None:
        if error is not None and is_input_error(error):
            raise InputError(f"a worker process cannot start: {one_line(error)}") from error
        if error is not None:
            raise error
        self.ready = True

    def cause_of_death(self) -> str:
        """The signal or the exit code that ended the process, in words."""
        self.process.join(1.0)
        code = self.process.exitcode
        return f"exit code {code}" if code is None or code >= 0 else signal.strsignal(-code) or f"signal {-code}"

    def waited(self, seconds: float, answered: bool) -> None:
        """Count seconds in which this process waited for it as silence, unless it answered or went on meanwhile."""
        beats = self.note.beats
        self.silence = 0.0 if answered or beats != self._beats else self.silence + seconds
        self._beats = beats

    def end(self) -> None:
        """Let an idle process end, kill a busy one."""
        if self._owner != os.getpid():  # garbage of the parent in a fork of it
            return
        self._at_exit.cancel()
        if self.running:
            self.process.kill()
        self.pipe.close()
        self.process.join(PATIENCE)
        self.process.kill()
        self.process.join(PATIENCE)
        if self.process.exitcode is not None:  # a disk that does not answer holds even a killed process
            self.process.close()


def _pickled(work: Callable[[Any], Any], init: Callable[[], object] | None) -> bytes:
    """Work as bytes, so that a spawned process can tell what it cannot import."""
    try:
        return bytes(ForkingPickler.dumps((work, init)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        reason = f"expected work that can be pickled for a spawned process, {one_line(error)}"
        raise InputError(f"{reason}; define it in a module, or set AVSSL_START=fork") from error


def _serve(pipe: Connection, task: Any, parent: int, note: WorkerNote) -> None:
    """Do jobs until the parent closes the pipe."""
    with contextlib.suppress(EOFError, ConnectionError):
        try:
            work = _begin(task, parent, note)
        except Exception as error:
            pipe.send((READY, carried_error(error), []))
            return
        pipe.send((READY, None, []))
        logged = WorkerLog()
        while True:
            number, job = pipe.recv()
            note.clear()
            note.beat()
            pipe.send_bytes(_message(number, work, job, logged))


def _begin(task: Any, parent: int, note: WorkerNote) -> Callable[[Any], Any]:
    """Prepare this process; returns what it does with each job."""
    keep_note(note)
    for each in list(_parents_ends):  # inherited by a fork: they would keep workers of this parent alive
        each.pipe.close()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    work, init = pickle.loads(task) if isinstance(task, bytes) else task
    if init:
        init()
    return work  # type: ignore[no-any-return]


class WorkerLog(logging.Handler):
    """Messages of this process for its parent to log: the handlers of a fork may be locked by threads of the parent."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[str, int, str]] = []
        logger = logging.getLogger("avssl")
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[str, int, str]]:
        """The messages since the last call."""
        taken, self.messages = self.messages, []
        return taken


def _message(number: int, work: Callable[[Any], Any], job: Any, logged: WorkerLog) -> Any:
    try:
        return ForkingPickler.dumps((number, work(job), logged.taken()))
    except BaseException as error:
        return ForkingPickler.dumps((number, error_with_trace(error), logged.taken()))


def error_with_trace(error: BaseException) -> BaseException:
    """An exception that is handled now, as it is sent to another process: its traceback, which stays, is a note."""
    found = carried_error(error)
    found.add_note(traceback.format_exc())
    return found


def carried_error(error: BaseException) -> BaseException:
    """The exception, or one of the same text where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with(parent: int) -> None:
    """End this process soon after its parent, whatever it is doing."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    os._exit(1)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait; a process started meanwhile never receives them."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@contextlib.contextmanager
def _main_hidden(start: str) -> Iterator[None]:
    """A spawned process started meanwhile does not import the main module, so that this one needs no guard."""
    main = sys.modules["__main__"]
    if start == "spawn":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
