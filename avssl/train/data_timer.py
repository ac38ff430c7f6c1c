"""Batches as a function of the step, and the time spent waiting for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

from avssl.train.signals import StopRequest

Batch = dict[str, Any]


class BatchSource(Protocol):
    """Batches as a function of the step."""

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`."""
        ...


class TimedBatches:
    """An iterator over batches that measures the time it takes.

    Args:
        batches: gives the batches.
        start: first step.
        stop: after the last step.
    """

    def __init__(self, batches: BatchSource, start: int, stop: int) -> None:
        self._iterator = iter(batches.between(start, stop))
        self._begun = time.perf_counter()
        self._data_wait = 0.0

    def next(self, stop: StopRequest) -> Batch:
        """The next batch; empty if it does not come because the signal that stops the run has ended the loader too."""
        begun = time.perf_counter()
        try:
            return next(self._iterator)
        except RuntimeError:
            if stop.asked:
                return {}
            raise
        finally:
            self._data_wait += time.perf_counter() - begun

    def split_times(self) -> tuple[float, float]:
        """Seconds since the last lap, and those of them that were waited."""
        now = time.perf_counter()
        split_times = now - self._begun, self._data_wait
        self._begun, self._data_wait = now, 0.0
        return split_times

    def close(self) -> None:
        """End the loader."""
        if hasattr(self._iterator, "close"):
            self._iterator.close()
