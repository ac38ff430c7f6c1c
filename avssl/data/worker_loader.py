"""Loader processes: results in order, errors re-raised, terminated with the iterator."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from avssl.errors import InputError, is_input_error, one_line
from avssl.io.loader_process import init_loader, packed, unpacked
from avssl.io.process_pool import CrashError, ordered_outcomes
from avssl.io.worker_settings import patience, start_method

Job = TypeVar("Job")
Batch = dict[str, Tensor]
REFUSED = "refused"
"""Name of the error message in a batch that could not be read."""


def in_order(
    read: Callable[[Job], Batch], jobs: Sequence[Job], workers: int, group: Callable[[Job], object] | None = None
) -> Generator[Batch, None, None]:
    """Read each job, in order; closing the iterator ends its loader processes.

    `AVSSL_PATIENCE` and `AVSSL_START` say when a process that hangs is ended, and how processes start; see
    `avssl.io.worker_settings`.

    Args:
        read: runs in a loader process, on one core.
        jobs: arguments of `read`, one per batch.
        workers: processes; 0: in this one, which dies of what would kill a process.
        group: of a job, such as its file: once one has killed its process twice, the others are given up.

    Raises:
        InputError: raised by `read`; or a job killed its process twice (`CrashError`) or hung (`HangError`), with the
            file's name.
        OSError: raised by `read`.
    """
    if workers < 0:
        raise InputError(f"expected 0 or more loader processes (workers), got {workers}")
    if not workers:
        for job in jobs:
            with _one_thread():
                batch = _read_with_traceback(read, job)
            yield batch
        return
    found = ordered_outcomes(_Read(read), jobs, workers, init_loader, group, patience(), start_method())
    with closing(found) as results:
        for _, outcome in results:
            if isinstance(outcome, CrashError) and isinstance(read, ErrorsAsResults):
                yield read.refused(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield unpacked(outcome)


@dataclass(frozen=True)
class ErrorsAsResults(Generic[Job]):
    """Reads jobs and returns errors as results; see `read_error`."""

    read: Callable[[Job], Batch]

    def __call__(self, job: Job) -> Batch:
        """Read a batch, or a batch with the error message."""
        try:
            return self.read(job)
        except Exception as error:
            if not is_input_error(error):
                raise
            return self.refused(error)

    @staticmethod
    def refused(error: BaseException) -> Batch:
        """The batch of a job that cannot be read."""
        return {REFUSED: torch.tensor(list(one_line(error).encode("utf-8", "replace")), dtype=torch.uint8)}


def read_error(batch: Batch) -> InputError | None:
    """Error of a batch of `ErrorsAsResults`; None if it was read."""
    message = batch.get(REFUSED)
    return None if message is None else InputError(bytes(message.tolist()).decode())


@dataclass(frozen=True)
class _Read(Generic[Job]):
    """Job -> batch, as it travels to the main process."""

    read: Callable[[Job], Batch]

    def __call__(self, job: Job) -> Any:
        return packed(self.read(job))


def _read_with_traceback(read: Callable[[Job], Batch], job: Job) -> Batch:
    try:
        return read(job)
    except (ValueError, OSError) as error:
        error.add_note(traceback.format_exc())  # a traceback does not travel between processes, notes do
        raise


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a loader process: several threads may round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
