"""Data-wait timer: an iterator over batches that measures the time spent waiting for data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

from avssl.train.signals import StopRequest

Batch = dict[str, Any]


class BatchSource(Protocol):
    """Batches as a function of the step."""

    @property
    def workers(self) -> int:
        """Loader processes that read them; 0: they are read in this process."""
        ...

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`."""
        ...


class TimedBatches:
    """Iterator over batches that measures the time spent waiting for them.

    Args:
        batches: source of the batches.
        start: first step.
        stop: one past the last step.
    """

    def __init__(self, batches: BatchSource, start: int, stop: int) -> None:
        self._iterator = iter(batches.between(start, stop))
        self._last = time.perf_counter()
        self._data_wait = 0.0

    def next(self, stop: StopRequest) -> Batch:
        """The next batch; empty if the signal that stops the run has ended the loader."""
        begun = time.perf_counter()
        try:
            return next(self._iterator)
        except RuntimeError:
            if stop.signal:
                return {}
            raise
        finally:
            self._data_wait += time.perf_counter() - begun

    def split_times(self) -> tuple[float, float]:
        """Seconds since the last call, and the part of them spent waiting for data."""
        now = time.perf_counter()
        elapsed = now - self._last, self._data_wait
        self._last, self._data_wait = now, 0.0
        return elapsed

    def close(self) -> None:
        """End the loader."""
        if hasattr(self._iterator, "close"):
            self._iterator.close()
