"""Worker processes that survive bad files: a crash costs one job, Ctrl-C and a dead parent leave nobody behind."""

from __future__ import annotations

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
AHEAD = 2
"""Jobs per process that are read ahead of the consumer."""


class CrashError(InputError):
    """A worker process died over this job, twice: it crashed, or it was killed, as when memory runs out."""


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


def outcomes(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Outcomes[Job, Result]:
    """Do jobs in worker processes, in any order; closing the generator ends them; see `outcomes_from` too.

    The processes are clean ones that do not import the main module, so that a script needs no main guard. They are
    forked only where `work` or the jobs are defined in the main module.

    Args:
        work: a function of a module, called with each job.
        jobs: what it is called with; pickled.
        workers: processes.

    Yields:
        Each job with its result, or with the exception it raised; `CrashError` where it killed its process twice.

    Raises:
        InputError: processes cannot be started.
    """
    if not jobs:
        return
    if elsewhere := _pool.get():
        yield from elsewhere(work, jobs)
        return
    in_main = b"__main__" in bytes(ForkingPickler.dumps((work, jobs[0])))
    with _Pool(partial(Worker, work, "fork" if in_main else "spawn", None), jobs, workers) as pool:
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
) -> Outcomes[Job, Result]:
    """Do jobs in forked worker processes, a few ahead of the consumer, in order; closing the generator ends them.

    Args:
        work: called with each job; inherited, so that it may refer to what cannot be pickled, such as a network on a
            GPU.
        jobs: inherited too.
        workers: processes.
        init: called once in each process.
        group: of a job, such as its file: once one has killed its process twice, the others are given up.

    Yields:
        As `outcomes`.

    Raises:
        InputError: processes cannot be started.
    """
    make = partial(Worker, lambda number: work(jobs[number]), "fork", init)
    group_of = None if group is None else lambda number: group(jobs[number])
    held: dict[int, Result | BaseException] = {}
    with _Pool(make, range(len(jobs)), workers, depth=AHEAD, group=group_of) as pool:
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
    """

    def __init__(
        self,
        make: Callable[[], Worker],
        jobs: Sequence[Job],
        workers: int,
        depth: int = 1,
        group: Callable[[Job], object] | None = None,
    ) -> None:
        self.make, self.jobs, self.limit, self.depth, self.group = make, jobs, workers, depth, group
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
        """Wait for at least one message; yields the jobs that are done."""
        while self._unsent:
            self.left -= 1
            yield self._unsent.pop()
        busy: dict[Any, Worker] = {worker.pipe: worker for worker in self.workers if worker.running}
        for pipe in wait(list(busy)) if busy else ():
            try:
                found = busy[pipe].receive()
            except WorkerDiedError:
                found = self._bury(busy[pipe])
            if found:
                self.left -= 1
                self._tried = None if found[0] == self._tried else self._tried
                yield found

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
        """Queue the jobs of a dead process again; its first one is given up if it was done alone."""
        cause, file, jobs = worker.cause_of_death(), worker.noted_file(), list(worker.running)
        self.workers.remove(worker)
        worker.end()
        if not worker.ready:
            self._retry_start(jobs, cause)
            return None
        self._again.extend(jobs[1:])
        if jobs[0] != self._tried:
            self._suspects.append(jobs[0])
            return None
        where = f"{file}: " if file else ""
        error = CrashError(f"{where}its worker process died, twice ({cause}): a crash, or want of memory")
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
