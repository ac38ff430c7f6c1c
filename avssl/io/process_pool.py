"""Worker processes that survive bad files: a crash costs one job, Ctrl-C and a dead parent leave nobody behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class CrashError(ValueError):
    """A worker process died over this job, twice: it crashed, or it was killed, as when memory runs out."""


def outcomes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[tuple[Job, Result | BaseException], None, None]:
    """Do jobs in worker processes, in any order; closing the generator ends them.

    Args:
        work: a function of a module, called with each job.
        jobs: what it is called with; pickled.
        workers: processes.

    Yields:
        Each job with its result, or with the exception it raised; `CrashError` where it killed its process twice.
    """
    waiting = deque(jobs)
    while waiting:
        for job in (yield from _until_crash(work, waiting, workers)):
            yield job, _alone(work, job)


def _until_crash(
    work: Callable[[Job], Result], waiting: deque[Job], workers: int
) -> Generator[tuple[Job, Result | BaseException], None, list[Job]]:
    """Do jobs until none waits or a process dies; returns those under way when it died."""
    with _Pool(work, min(workers, len(waiting))) as pool:
        while waiting or pool.running:
            while waiting and len(pool.running) < 2 * workers and not pool.broken:
                pool.submit(waiting.popleft())
            yield from pool.finished()
            if pool.broken:
                return list(pool.running.values())
    return []


def _alone(work: Callable[[Job], Result], job: Job) -> Result | BaseException:
    with _Pool(work, 1) as pool:
        pool.submit(job)
        for _, outcome in pool.finished():
            return outcome
    return CrashError("its worker process died, twice: a crash, or killed for want of memory")


class _Pool(Generic[Job, Result]):
    """An executor whose processes end when it is left, whatever they are doing."""

    def __init__(self, work: Callable[[Job], Result], workers: int) -> None:
        self.work = work
        self.running: dict[Future[Result], Job] = {}
        self.broken = False
        # Spawned processes do not inherit our end: it closes when we close it and when we die.
        ended, self.lifeline = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")
        self.executor = ProcessPoolExecutor(workers, context, initializer=_end_with, initargs=(ended,))

    def __enter__(self) -> _Pool[Job, Result]:
        return self

    def __exit__(self, *reason: object) -> None:
        if self.running:
            self.lifeline.close()
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.lifeline.close()

    def submit(self, job: Job) -> None:
        """Queue a job; in a broken pool it counts as under way."""
        with _interrupts_held():
            try:
                self.running[self.executor.submit(self.work, job)] = job
            except BrokenProcessPool as error:
                lost: Future[Result] = Future()
                lost.set_exception(error)
                self.running[lost] = job

    def finished(self) -> Iterator[tuple[Job, Result | BaseException]]:
        """Wait for at least one job; those a dead process took with it stay in `running`."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                self.broken = True
            else:
                yield self.running.pop(future), error or future.result()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits; processes started meanwhile never see it, and leave it to us to end them."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _end_with(ended: Connection) -> None:
    """Runs in a new worker: end it when the other end of the pipe closes."""

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            ended.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
