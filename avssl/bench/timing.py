"""Timing of both sides of a case, alternating, so that changes of machine load affect both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import cv2
import torch

from avssl.bench.case import Case


@dataclass(frozen=True)
class Timing:
    """Times of a case in milliseconds."""

    name: str
    peer_name: str
    ours: list[float]
    """Milliseconds, one per repeat."""
    peer: list[float]
    difference: float
    """Distance between the two results, by the metric of the case."""
    seconds: float = 0.0
    """See `Case`."""

    @property
    def ours_ms(self) -> float:
        """Median in milliseconds."""
        return median(self.ours)

    @property
    def peer_ms(self) -> float:
        """Median in milliseconds."""
        return median(self.peer)

    @property
    def ratio(self) -> float:
        """Time of the peer over time of avssl."""
        return self.peer_ms / self.ours_ms

    @property
    def real_time(self) -> float:
        """Seconds of media over the time of avssl; 0 without media."""
        return 1000 * self.seconds / self.ours_ms


def time_case(case: Case, repeats: int) -> Timing:
    """Check that both sides agree, which also warms them up, then time them alternately.

    Raises:
        RuntimeError: the results do not agree.
    """
    difference = case.difference()
    pairs = [(_milliseconds(case.ours), _milliseconds(case.peer)) for _ in range(repeats)]
    ours, peer = ([pair[side] for pair in pairs] for side in (0, 1))
    return Timing(case.name, case.peer_name, ours, peer, difference, case.seconds)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of threads of torch and OpenCV (and PyAV, which uses torch's) inside the context."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)
