"""Loader processes: results in order, errors re-raised, terminated with the iterator."""

from __future__ import annotations

import math
import random
import shutil
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from avssl.errors import InputError, is_input_error, one_line
from avssl.io.process_pool import CrashError, ordered_outcomes

Job = TypeVar("Job")
Batch = dict[str, Tensor]
REFUSED = "refused"
"""Name of the error message in a batch that could not be read."""
SHARED_MEMORY = Path("/dev/shm")
ROOMY = 2**31
"""Bytes free in shared memory with which batches travel through it: containers often have 64 MiB."""
_in_loader = False
"""Whether this is a loader process."""


def in_order(read: Callable[[Job], Batch], jobs: Sequence[Job], workers: int) -> Generator[Batch, None, None]:
    """Read each job, in order; closing the iterator ends its loader processes.

    Args:
        read: runs in a loader process, on one core.
        jobs: arguments of `read`, one per batch.
        workers: processes; 0: in this one.

    Raises:
        InputError: raised by `read`; or a job killed its process twice, see `CrashError`, which names the file.
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
    with closing(ordered_outcomes(_Read(read), jobs, workers, _init_worker)) as results:
        for _, outcome in results:
            if isinstance(outcome, CrashError) and isinstance(read, ErrorsAsResults):
                yield read.refused(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield {name: torch.as_tensor(each) for name, each in outcome.items()}


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
            return self.refused(error)

    @staticmethod
    def refused(error: BaseException) -> Batch:
        """The batch of a job that cannot be read."""
        return {REFUSED: torch.tensor(list(one_line(error).encode("utf-8", "replace")), dtype=torch.uint8)}


def read_error(batch: Batch) -> InputError | None:
    """Error of a batch of `ErrorsAsResults`; None if it was read."""
    message = batch.get(REFUSED)
    return None if message is None else InputError(bytes(message.tolist()).decode())


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of equal shape and dtype as one; in a loader process in shared memory, which spares a copy."""
    if not (_in_loader and _has_shared_memory()):
        return torch.stack(tuple(tensors))
    first = tensors[0]
    shape = (len(tensors), *first.shape)
    storage = torch.UntypedStorage._new_shared(math.prod(shape) * first.element_size(), device="cpu")
    whole = torch.empty(0, dtype=first.dtype).set_(storage, 0, shape)
    return torch.stack(tuple(tensors), out=whole)


@dataclass(frozen=True)
class _Read(Generic[Job]):
    """Job -> batch, as it travels to the main process."""

    read: Callable[[Job], Batch]

    def __call__(self, job: Job) -> Any:
        batch = self.read(job)
        return batch if _has_shared_memory() else {name: each.numpy() for name, each in batch.items()}


def _read_with_traceback(read: Callable[[Job], Batch], job: Job) -> Batch:
    try:
        return read(job)
    except (ValueError, OSError) as error:
        error.add_note(traceback.format_exc())  # a traceback does not travel between processes, notes do
        raise


@lru_cache(maxsize=1)
def _has_shared_memory() -> bool:
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > ROOMY


def _init_worker() -> None:
    """A loader process computes on one core; its global generators differ from those of the others."""
    global _in_loader
    _in_loader = True
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    torch.seed()
    np.random.seed()
    random.seed()


@contextmanager
def _one_thread() -> Iterator[None]:
    """As in a loader process: several threads may round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
