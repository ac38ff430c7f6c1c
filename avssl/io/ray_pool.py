"""A pool of worker processes on a Ray cluster: the jobs of the local pool, on many machines."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from avssl.errors import InputError, excerpt
from avssl.io.cores import usable_cores
from avssl.io.interrupts import handled, restore
from avssl.io.process_pool import CrashError, Outcomes, outcomes_from
from avssl.io.worker_process import WorkerLog, error_with_trace

logger = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")

LOCAL = "local"
"""Address that starts a cluster on this machine, for the time of the command."""
AUTO = "auto"
"""Address of the cluster that this machine belongs to."""
CLIENT_PORT = 10001
"""Ray's own for `ray://HOST`."""
SECONDS_TO_ANSWER = 5.0
"""For the address to take a connection."""
SECONDS_TO_JOIN = 40.0
"""For a connection to a cluster; Ray itself tries for minutes where something else listens."""
JOIN = "import ray, sys; ray.init(sys.argv[1], configure_logging=False, log_to_driver=False)"
AHEAD = 2
"""Tasks a CPU that wait in the cluster or run: none idles, and its queue does not grow with the number of jobs."""
TRIES = 3
"""Worker processes that one job may kill; others on its machine may have taken the memory."""
LOST_NODES = 10
"""Nodes that one job may lose; it is innocent of that, but no run goes on for ever."""
SECONDS_BETWEEN_LOOKS = 2.0
"""At the nodes of the cluster, which may come and go."""
STORE_BYTES = 200 * 2**20
"""Object store of a cluster on this machine; results are small."""


class UnseenFolderError(InputError):
    """A node does not see a folder of the command."""


@dataclass(frozen=True)
class SharedPaths:
    """Folders that every node has to see under the same path, as by NFS.

    Args:
        folders: they exist.
        out: folder that results are written to; empty: none.
        base: folder that relative paths of jobs start from; empty: that of the worker process.
    """

    folders: tuple[str, ...] = ()
    out: str = ""
    base: str = ""

    def check(self) -> None:
        """Check this node.

        Raises:
            UnseenFolderError: one of them is not here, or the output is another one: it lacks the command's lock.
        """
        lacking = [each for each in self.folders if not Path(each).exists()]
        lacking += [self.out] if self.out and not (Path(self.out) / ".avssl.lock").is_file() else []
        if lacking:
            raise UnseenFolderError(
                f"{lacking[0]}: expected a folder that every Ray node sees, {platform.node()} does not; "
                "mount it there under the same path"
            )


@contextmanager
def on_ray(address: str, reads: Sequence[Path] = (), out: Path | None = None) -> Iterator[None]:
    """Do the jobs of `outcomes` inside the block on a Ray cluster instead of processes of this machine.

    Args:
        address: `local`, `auto`, `HOST:PORT` of a cluster, or `ray://HOST:PORT` of its client server.
        reads: folders and files that jobs read; every node sees them under the same path.
        out: folder that jobs write to, in the same way; this process holds its lock.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    paths = SharedPaths(
        tuple(str(path.absolute()) for path in reads), str(out.absolute()) if out else "", str(Path.cwd())
    )
    ray = _imported()
    with _connected(ray, address):

        def pool(work: Callable[[Any], Any], jobs: Sequence[Any]) -> Outcomes[Any, Any]:
            return ray_outcomes(work, jobs, paths)

        with outcomes_from(pool):
            yield


def ray_outcomes(
    work: Callable[[Job], Result], jobs: Sequence[Job], paths: SharedPaths | None = None
) -> Outcomes[Job, Result]:
    """Do jobs on the cluster that this process is connected to, in any order; closing the generator cancels the rest.

    A job whose process or node died is done again: its files are renamed into place when they are whole, so that none
    is lost and none is there twice.

    Args:
        work: a function of a module that the nodes have too, called with each job.
        jobs: what it is called with; pickled.
        paths: what every node has to see.

    Yields:
        Each job with its result, or with the exception it raised; `CrashError` where it killed its process three times.

    Raises:
        InputError: a node does not see a folder, or the cluster is gone.
    """
    pool = _RayPool(_imported(), work, jobs, paths or SharedPaths())
    try:
        while pool.left:
            pool.feed()
            for number, outcome in pool.collect():
                yield jobs[number], outcome
    finally:
        pool.cancel()


class _RayPool(Generic[Job]):
    """Tasks under way in a cluster, a bounded number of them.

    Args:
        ray: the module.
        work: see `ray_outcomes`.
        jobs: see `ray_outcomes`.
        paths: what every node has to see.
    """

    def __init__(self, ray: Any, work: Callable[[Job], Any], jobs: Sequence[Job], paths: SharedPaths) -> None:
        self.ray, self.jobs, self.left = ray, jobs, len(jobs)
        gpus = 1 if getattr(work, "wants_gpu", False) and ray.cluster_resources().get("GPU") else 0
        self._task = ray.remote(_done).options(num_cpus=1, num_gpus=gpus, max_retries=0)
        self._work = ray.put((work, paths))
        self._waiting = deque(range(len(jobs)))
        self._running: dict[Any, int] = {}
        """Reference of a task -> number of its job."""
        self._crashes: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._slots, self._looked = 0, -SECONDS_BETWEEN_LOOKS

    def feed(self) -> None:
        """Send jobs, as many as the cluster's CPUs can take."""
        if time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._slots, self._looked = int(self.ray.cluster_resources().get("CPU", 0)), time.monotonic()
        while self._waiting and len(self._running) < AHEAD * max(1, self._slots):
            number = self._waiting.popleft()
            self._running[self._task.remote([self._work], self.jobs[number])] = number

    def collect(self) -> Iterator[tuple[int, Any]]:
        """Wait for a task, or a moment; yields the jobs that are done."""
        ended, _ = self.ray.wait(list(self._running), timeout=SECONDS_BETWEEN_LOOKS)
        for task in ended:
            number = self._running.pop(task)
            for outcome in self._outcome(number, task):
                self.left -= 1
                yield number, outcome

    def cancel(self) -> None:
        """End the tasks under way."""
        for task in self._running:
            try:
                self.ray.cancel(task, force=True)
            except Exception:  # of a cluster that is gone
                logger.debug("a task could not be cancelled", exc_info=True)

    def _outcome(self, number: int, task: Any) -> Iterator[Any]:
        """The result of a task or its error; nothing where the job waits for another try."""
        errors = self.ray.exceptions
        try:
            outcome, messages = self.ray.get(task)
        except errors.RayTaskError as error:  # before or after the work: the job or the result cannot be pickled
            yield InputError(f"Ray: {excerpt(getattr(error, 'cause', None) or error)}")
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            yield from self._again(number, self._crashes, TRIES, "its worker process died", error)
        except errors.RayError as error:
            yield from self._again(number, self._lost, LOST_NODES, "its node was lost", error)
        else:
            for name, level, message in messages:
                logging.getLogger(name).log(level, "%s", message)
            if isinstance(outcome, UnseenFolderError):
                raise outcome
            yield outcome

    def _again(self, number: int, counts: dict[int, int], limit: int, what: str, error: Exception) -> Iterator[Any]:
        counts[number] = counts.get(number, 0) + 1
        cause = "want of memory" if isinstance(error, self.ray.exceptions.OutOfMemoryError) else type(error).__name__
        logger.debug("job %d: %s (%s)", number, what, cause)
        if counts[number] >= limit:
            yield CrashError(f"{what}, {limit} times ({cause}): a crash, or want of memory")
        else:
            self._waiting.appendleft(number)


def _done(shared: list[Any], job: Any) -> tuple[Any, list[tuple[str, int, str]]]:
    """Do a job in a process of a node; returns its result or exception, and what it logged."""
    work, paths, log = _prepared(shared[0])
    try:
        paths.check()
        outcome = work(job)
    except Exception as error:
        outcome = error_with_trace(error)
    return outcome, log.taken()


@lru_cache(maxsize=2)
def _prepared(reference: Any) -> tuple[Callable[[Any], Any], SharedPaths, WorkerLog]:
    """Work and paths, sent to each process once, and its log."""
    import ray

    work, paths = ray.get(reference)
    with suppress(OSError):  # jobs with absolute paths do without; of the others `SharedPaths.check` speaks
        os.chdir(paths.base or ".")
    return work, paths, WorkerLog()


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no network but the cluster's
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("expected Ray for --ray; install it with pip install 'avssl[ray]'") from error
    return ray


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection to a cluster; one that this process has already is left as it is."""
    if ray.is_initialized():
        yield
        return
    _check_answers(address)
    before = handled((signal.SIGTERM,), signal.getsignal(signal.SIGTERM))  # which Ray replaces
    try:
        ray.init(**_settings(address), configure_logging=False, log_to_driver=False)
    except Exception as error:
        raise _none_there(address, excerpt(error)) from error
    finally:
        restore(before)
    ray._private.worker.print_to_stdstream = _debugged  # else the logs of dead nodes go to standard output
    try:
        yield
    finally:
        ray.shutdown()


def _debugged(data: Any, **_: Any) -> None:
    """Log what Ray would print: our messages name the jobs."""
    logger.debug("Ray: %s", excerpt(" ".join(map(str, data.get("lines", ())))))


def _settings(address: str) -> dict[str, Any]:
    if address == LOCAL:
        return {
            "address": LOCAL,
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    return {"address": address}


def _check_answers(address: str) -> None:
    """Check that a cluster listens at an address: Ray itself would wait for minutes."""
    found = os.environ.get("RAY_ADDRESS", "") if address == AUTO else address
    if found in ("", AUTO, LOCAL):
        return
    host, _, port = found.removeprefix("ray://").rstrip("/").rpartition(":")
    if not host:
        host, port = port, str(CLIENT_PORT)
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _none_there(address, f"nothing answers at {host}:{port}: {excerpt(error)}") from error
    if found.startswith("ray://"):  # has a time limit
        return
    try:
        subprocess.run([sys.executable, "-c", JOIN, found], capture_output=True, timeout=SECONDS_TO_JOIN, check=False)
    except subprocess.TimeoutExpired as error:
        raise _none_there(address, f"what answers at {host}:{port} is something else") from error


def _none_there(address: str, why: str) -> InputError:
    return InputError(
        f"{address}: expected a Ray cluster, found none ({why}); start one with `ray start --head`, or use --ray local"
    )
