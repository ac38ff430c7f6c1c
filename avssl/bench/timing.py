"""Times of both sides of a case, taken in turn so that a machine that slows down slows both."""

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
    """A case and how long it took, in milliseconds."""

    name: str
    peer_name: str
    ours: list[float]
    """One time a repeat."""
    peer: list[float]
    difference: float
    """Between the two results, as the case measures it."""

    @property
    def ours_ms(self) -> float:
        """Median."""
        return median(self.ours)

    @property
    def peer_ms(self) -> float:
        """Median."""
        return median(self.peer)

    @property
    def ratio(self) -> float:
        """How many times longer the peer takes."""
        return self.peer_ms / self.ours_ms


def measure(case: Case, repeats: int) -> Timing:
    """Check that both sides agree, which also warms them up, then time ours, the peer, ours, the peer...

    Raises:
        RuntimeError: the two do not agree.
    """
    difference = case.difference()
    pairs = [(_milliseconds(case.ours), _milliseconds(case.peer)) for _ in range(repeats)]
    ours, peer = ([pair[side] for pair in pairs] for side in (0, 1))
    return Timing(case.name, case.peer_name, ours, peer, difference)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch and OpenCV (and PyAV, which asks torch) use that many threads inside the block."""
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
