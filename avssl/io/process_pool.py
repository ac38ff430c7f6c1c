"""Worker processes that survive bad files: a crash costs one job, Ctrl-C and a dead parent leave nobody behind."""

from __future__ import annotations

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, TypeVar

from avssl.errors import InputError
from avssl.io.worker_process import Worker, WorkerDiedError

Job = TypeVar("Job")
Result = TypeVar("Result")
Outcomes = Generator[tuple[Job, Result | BaseException], None, None]
Pool = Callable[[Callable[[Any], Any], Sequence[Any]], Outcomes[Any, Any]]
"""Does the jobs of `outcomes` elsewhere, such as on a cluster."""
_pool: ContextVar[Pool | None] = ContextVar("pool", default=None)
STARTS = 3
"""Worker processes that die before their first job, after which no other is started."""
TICK = 1.0
"""Seconds between two looks at processes that are silent."""
FULL = signal.strsignal(signal.SIGBUS) or ""
"""Death of a process that writes to shared memory which has no room."""
AHEAD = 2
"""Jobs per process that are read ahead of the consumer."""


class CrashError(InputError):
    """A worker process died over this job, twice: it crashed, or it was killed, as when memory runs out."""


class HangError(CrashError):
    """A worker process made no progress over this job and was ended."""


@contextmanager
def outcomes_from(pool: Pool) -> Iterator[None]:
    """Do the jobs of `outcomes` inside the block in another pool than processes of this machine."""
    token = _pool.set(pool)
    try:
        yield
    finally:
        _pool.reset(token)


def has_other_pool() -> bool:
    """Whether `outcomes` does its jobs elsewhere, see `outcomes_from`."""
    return _pool.get() is not None


def outcomes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, patience: float = math.inf
) -> Outcomes[Job, Result]:
    """Do jobs in worker processes, in any order; closing the generator ends them; see `outcomes_from` too.

    The processes are clean ones that do not import the main module, so that a script needs no main guard. They are
    forked only where `work` or the jobs are defined in the main module.

    Args:
        work: a function of a module, called with each job.
        jobs: what it is called with; pickled.
        workers: processes.
        patience: seconds after which a process that neither ends its job nor calls `worker_note.beat` is ended.

    Yields:
        Each job with its result, or with the exception it raised; `CrashError` where it killed its process twice,
        `HangError` where patience ran out.

    Raises:
        InputError: processes cannot be started.
    """
    if not jobs:
        return
    if elsewhere := _pool.get():
        yield from elsewhere(work, jobs)
        return
    in_main = b"__main__" in bytes(ForkingPickler.dumps((work, jobs[0])))
    make = partial(Worker, work, "fork" if in_main else "spawn", None)
    with _Pool(make, jobs, workers, patience=patience) as pool:
        while pool.left:
            pool.feed(len(jobs))
            for number, outcome in pool.collect():
                yield jobs[number], outcome


def ordered_outcomes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    init: Callable[[], object] | None = None,
    group: Callable[[Job], object] | None = None,
    patience: float = math.inf,
    start: str = "fork",
) -> Outcomes[Job, Result]:
    """Do jobs in worker processes, a few ahead of the consumer, in order; closing the generator ends them.

    Args:
        work: called with each job; inherited by a forked process, so that it may refer to what cannot be pickled, such
            as a network on a GPU; pickled for a spawned one.
        jobs: as `work`.
        workers: processes.
        init: called once in each process.
        group: of a job, such as its file: once one has killed its process twice, or was ended, the others are given up.
        patience: see `outcomes`.
        start: of the processes, fork or spawn.

    Yields:
        As `outcomes`.

    Raises:
        InputError: processes cannot be started, or `work` cannot be pickled for them.
    """
    forked = start == "fork"
    make = partial(Worker, (lambda number: work(jobs[number])) if forked else work, start, init)
    sent: Sequence[Any] = range(len(jobs)) if forked else jobs
    group_of = group if group is None or not forked else lambda number: group(jobs[number])
    held: dict[int, Result | BaseException] = {}
    with _Pool(make, sent, workers, depth=AHEAD, group=group_of, patience=patience, names=True) as pool:
        pool.feed(AHEAD * workers)
        for number in range(len(jobs)):
            while number not in held:
                held.update(pool.collect())
                pool.feed(number + AHEAD * workers)
            pool.feed(number + 1 + AHEAD * workers)
            yield jobs[number], held.pop(number)


class _Pool(Generic[Job]):
    """Processes whose jobs are done again, alone, when one of them dies.

    Args:
        make: starts a process.
        jobs: sent with their number.
        workers: processes, at most.
        depth: jobs that are sent to a process before it has done the first.
        group: see `ordered_outcomes`.
        patience: see `outcomes`.
        names: whether errors begin with the file that the process read.
    """

    def __init__(
        self,
        make: Callable[[], Worker],
        jobs: Sequence[Job],
        workers: int,
        *,
        depth: int = 1,
        group: Callable[[Job], object] | None = None,
        patience: float = math.inf,
        names: bool = False,
    ) -> None:
        self.make, self.jobs, self.limit, self.depth, self.group = make, jobs, workers, depth, group
        self.patience, self.names = patience, names
        self.workers: list[Worker] = []
        self.left = len(jobs)
        self._next = 0
        self._again: deque[int] = deque()
        """Innocent jobs of a dead process."""
        self._suspects: deque[int] = deque()
        """Jobs that were under way when their process died."""
        self._tried: int | None = None
        """The suspect that is done alone now."""
        self._failed_starts = 0
        self._given_up: dict[object, CrashError] = {}
        """By group."""
        self._unsent: list[tuple[int, CrashError]] = []
        """Jobs of these groups."""

    def __enter__(self) -> _Pool[Job]:
        return self

    def __exit__(self, *reason: object) -> None:
        for worker in self.workers:
            worker.end()

    def feed(self, until: int) -> None:
        """Send jobs below a number to processes; once there is nothing else to do, a suspect, alone."""
        if self._tried is not None:
            return
        while (worker := self._free()) is not None and (number := self._waiting(until)) is not None:
            self._submit(worker, number)
        if self._suspects and not any(worker.running for worker in self.workers):
            worker, self._tried = self._free(), self._suspects.popleft()
            assert worker
            self._submit(worker, self._tried)

    def collect(self) -> Iterator[tuple[int, Any]]:
        """Wait for messages, `TICK` at most; yields the jobs that are done."""
        while self._unsent:
            self.left -= 1
            yield self._unsent.pop()
        busy: dict[Any, Worker] = {worker.pipe: worker for worker in self.workers if worker.running}
        for worker in self._heard(busy):
            try:
                found = self._bury(worker) if worker.silence > self.patience else worker.receive()
            except WorkerDiedError:
                found = self._bury(worker)
            if found:
                self.left -= 1
                self._tried = None if found[0] == self._tried else self._tried
                yield found

    def _heard(self, busy: dict[Any, Worker]) -> list[Worker]:
        """Processes that have sent something, and those that are silent for too long.

        Only the time in which this process waits for them counts, in steps of `TICK`: a step of training that takes
        long, or a stopped and continued command, makes no process silent.
        """
        if not busy:
            return []
        begun = time.monotonic()
        ready = set(wait(list(busy), TICK))
        passed = min(time.monotonic() - begun, TICK)
        for pipe, worker in busy.items():
            worker.waited(passed, pipe in ready or not worker.ready)
        return [worker for pipe, worker in busy.items() if pipe in ready or worker.silence > self.patience]

    def _waiting(self, until: int) -> int | None:
        if self._again:
            return self._again.popleft()
        if self._next >= min(until, len(self.jobs)):
            return None
        self._next += 1
        return self._next - 1

    def _free(self) -> Worker | None:
        """The process with the fewest jobs, a new one before a second job is sent; None if all have enough."""
        least = min(self.workers, key=lambda worker: len(worker.running), default=None)
        if least is None or (least.running and len(self.workers) < self.limit):
            least = self.make()
            self.workers.append(least)
        return least if len(least.running) < self.depth else None

    def _submit(self, worker: Worker, number: int) -> None:
        job = self.jobs[number]
        if self.group and (error := self._given_up.get(self.group(job))):
            self._unsent.append((number, error))
            self._tried = None if number == self._tried else self._tried
            return
        try:
            worker.submit(number, job)
        except WorkerDiedError:  # with nothing to do: `collect` finds it
            worker.running.append(number)

    def _bury(self, worker: Worker) -> tuple[int, CrashError] | None:
        """Queue the jobs of a dead process again; its first one is given up if it was done alone.

        Of a silent process, which is ended, the first one is given up at once.
        """
        hung, jobs = worker.silence > self.patience, list(worker.running)
        if hung:
            worker.process.kill()
        cause, file = worker.cause_of_death(), worker.note.file
        self.workers.remove(worker)
        worker.end()
        if not worker.ready:
            self._retry_start(jobs, cause)
            return None
        self._again.extend(jobs[1:])
        if jobs[0] != self._tried and not hung:
            self._suspects.append(jobs[0])
            return None
        where = f"{file}: " if file and self.names else ""
        error = _hang_error(where, self.patience) if hung else CrashError(f"{where}{_dead(cause)}")
        if self.group:
            self._given_up[self.group(self.jobs[jobs[0]])] = error
        return jobs[0], error

    def _retry_start(self, jobs: Sequence[int], cause: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise InputError(f"worker processes cannot start ({cause}); fewer of them take less memory")
        suspect, self._tried = self._tried, None
        self._suspects.extend(job for job in jobs if job == suspect)
        self._again.extend(job for job in jobs if job != suspect)


def _dead(cause: str) -> str:
    """Why a process may have died, and what helps."""
    if cause == FULL:
        return (
            f"its worker process died, twice ({cause}): shared memory (/dev/shm) has no room; "
            "give it more, or use fewer workers or a smaller batch"
        )
    return f"its worker process died, twice ({cause}): a crash, or want of memory"


def _hang_error(where: str, seconds: float) -> HangError:
    return HangError(
        f"{where}its worker process made no progress for {seconds:g} s and was ended: a decoder that hangs, or a disk "
        "that does not answer; leave the file out, or wait longer with AVSSL_PATIENCE=SECONDS"
    )
