"""Loader processes: results in order, errors re-raised, terminated with the iterator."""

from __future__ import annotations

import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from avssl.errors import InputError, is_input_error, one_line
from avssl.io.interrupts import ENDING

Job = TypeVar("Job")
Batch = dict[str, Tensor]
REFUSED = "refused"
"""Name of the error message in a batch that could not be read."""
SHARED_MEMORY = Path("/dev/shm")
ROOMY = 2**31
"""Bytes free in shared memory with which batches travel through it: containers often have 64 MiB."""


def in_order(read: Callable[[Job], Batch], jobs: Sequence[Job], workers: int) -> Generator[Batch, None, None]:
    """Read each job, in order; closing the iterator ends its loader processes.

    Args:
        read: runs in a loader process, on one core.
        jobs: arguments of `read`, one per batch.
        workers: processes; 0: in this one.

    Raises:
        InputError: raised by `read`.
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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more processes than cores do no harm
        loader: Any = iter(_loader(_Jobs(read, jobs), min(workers, max(1, len(jobs)))))
    try:
        for batch in loader:
            yield _unwrapped(batch)
    finally:
        # What its `__del__` does, and does too late where the traceback of an error keeps it alive.
        loader._shutdown_workers()


@dataclass(frozen=True)
class ErrorsAsResults(Generic[Job]):
    """Reads jobs and returns errors as results; see `read_error`."""

    read: Callable[[Job], Batch]

    def __call__(self, job: Job) -> Batch:
        """Read a batch, or a batch with the error message."""
        try:
            return self.read(job)
        except (InputError, OSError) as error:
            if not is_input_error(error):
                raise
            return {REFUSED: torch.tensor(list(one_line(error).encode("utf-8", "replace")), dtype=torch.uint8)}


def read_error(batch: Batch) -> InputError | None:
    """Error of a batch of `ErrorsAsResults`; None if it was read."""
    message = batch.get(REFUSED)
    return None if message is None else InputError(bytes(message.tolist()).decode())


def in_loader() -> bool:
    """Whether this is a loader process whose tensors travel through shared memory."""
    return get_worker_info() is not None and _has_shared_memory()


@dataclass(frozen=True)
class _Jobs(Dataset[Any], Generic[Job]):
    """Index -> batch of the job, or its error."""

    read: Callable[[Job], Batch]
    jobs: Sequence[Job]

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> Any:
        try:
            batch = _read_with_traceback(self.read, self.jobs[index])
        except (ValueError, OSError) as error:
            return error  # raised in the main process, with the traceback of this one as a note
        return batch if _has_shared_memory() else {name: each.numpy() for name, each in batch.items()}


def _read_with_traceback(read: Callable[[Job], Batch], job: Job) -> Batch:
    try:
        return read(job)
    except (ValueError, OSError) as error:
        error.add_note(traceback.format_exc())  # a traceback does not travel between processes, notes do
        raise


def _loader(jobs: _Jobs[Any], workers: int) -> DataLoader[Any]:
    # Forked, because `read` may belong to a task that is already on a GPU, which cannot be pickled.
    context = "fork" if "fork" in get_all_start_methods() else None
    return DataLoader(
        jobs,
        batch_size=None,
        num_workers=workers,
        collate_fn=_identity,
        worker_init_fn=_init_worker,
        multiprocessing_context=context,
    )


def _unwrapped(batch: Any) -> Batch:
    if isinstance(batch, Exception):
        raise batch
    return {name: torch.as_tensor(each) for name, each in batch.items()}


def _identity(batch: Any) -> Any:
    return batch


@lru_cache(maxsize=1)
def _has_shared_memory() -> bool:
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > ROOMY


def _init_worker(worker: int) -> None:
    """A loader process computes on one core, and leaves signals to the process that trains, which ends it."""
    for each in (signal.SIGINT, *ENDING):
        signal.signal(each, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a loader process: several threads may round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
