"""Timing of both sides of a case, alternating, so that changes of machine load affect both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import cv2
import torch

from avssl.bench.case import Case, Quantity
from avssl.bench.peak_memory import peak_bytes

T = TypeVar("T")

BUDGET = 30.0
"""Seconds after which a row is not repeated further, `LEAST` repetitions aside."""
LEAST = 3
"""Repetitions of a row that takes longer than its budget."""


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
    work: str = ""
    """See `Case`."""
    aim: float = 0.0
    """See `Case`."""
    ours_mb: float | None = None
    """Peak memory in MB, see `avssl.bench.peak_memory`; None: not measured."""
    peer_mb: float | None = None
    ours_cpu: Sequence[float] = ()
    """Milliseconds of processor time, of all threads, one per repeat."""
    peer_cpu: Sequence[float] = ()
    busy: bool = False
    """Whether other programs used the machine, so that processor times decide whether the aim is reached."""

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
    def cpu_ratio(self) -> float | None:
        """The same of processor times, to which waiting for other programs does not count; None: not measured."""
        return median(self.peer_cpu) / max(median(self.ours_cpu), 1e-6) if self.ours_cpu else None

    @property
    def reached(self) -> bool | None:
        """Whether the ratio that decides reaches the aim; None without one."""
        return self.deciding_ratio >= self.aim if self.aim else None

    @property
    def deciding_ratio(self) -> float:
        """The ratio, that of processor times on a busy machine."""
        return self.ratio if self.cpu_ratio is None or not self.busy else self.cpu_ratio

    @property
    def real_time(self) -> float:
        """Seconds of media over the time of avssl; 0 without media."""
        return 1000 * self.seconds / self.ours_ms


@dataclass(frozen=True)
class Measured:
    """A number of a `Quantity`."""

    name: str
    values: list[float]
    """One per repeat."""
    unit: str
    work: str = ""
    """See `Quantity`."""

    @property
    def value(self) -> float:
        """Median."""
        return median(self.values)


def time_case(case: Case, repeats: int) -> Timing:
    """Check that both sides agree, which also warms them up, then time them alternately.

    Raises:
        DisagreementError: the results do not agree.
    """
    difference = case.difference()
    pairs = list(_within_budget(lambda: (_milliseconds(case.ours), _milliseconds(case.peer)), repeats))
    (ours, ours_cpu), (peer, peer_cpu) = (zip(*(pair[side] for pair in pairs), strict=True) for side in (0, 1))
    ours_mb, peer_mb = (peak_bytes(side) / 1e6 if case.memory else None for side in (case.ours, case.peer))
    return Timing(
        case.name, case.peer_name, list(ours), list(peer), difference, case.seconds, case.work, case.aim,
        ours_mb, peer_mb, ours_cpu, peer_cpu,
    )  # fmt: skip


def measure(quantity: Quantity, repeats: int) -> list[Measured]:
    """Measure a quantity, after no run to warm up; one result for each of its parts."""
    runs = list(_within_budget(quantity.measure, min(repeats, quantity.repeats or repeats)))
    names = {part: f"{quantity.name}: {part}" if part else quantity.name for part in runs[0]}
    return [Measured(name, [each[part] for each in runs], quantity.unit, quantity.work) for part, name in names.items()]


def _within_budget(run: Callable[[], T], repeats: int) -> Iterator[T]:
    begin = time.perf_counter()
    for repeat in range(repeats):
        if repeat >= LEAST and time.perf_counter() - begin > BUDGET:
            return
        yield run()


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


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Time and processor time."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)
