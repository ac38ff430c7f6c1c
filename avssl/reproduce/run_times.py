"""Time that the runs of a table will take, from finished ones and from passes that are timed on this machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from avssl.reproduce.planned_run import PlannedRun
from avssl.reproduce.run_note import seconds_taken

FROM_PASSES = (1.0, 3.0)
"""Least and greatest factor between timed passes and a whole run, which also reads, decodes and evaluates."""
FROM_OTHERS = (0.6, 1.6)
"""The same once finished runs of other kinds have shown how passes and whole runs compare here."""
FROM_ITSELF = (0.8, 1.25)
"""The same between runs of one kind."""

UNITS = (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0), ("s", 1, 0))
"""Name, seconds and decimals of units of time."""


@dataclass(frozen=True)
class Duration:
    """Bounds of a time in seconds."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.low + other.low, self.high + other.high)

    def less(self, seconds: float) -> Duration:
        """What is left after so many seconds."""
        return Duration(max(0.0, self.low - seconds), max(0.0, self.high - seconds))

    def __str__(self) -> str:
        unit, size, digits = next((each for each in UNITS if self.high >= 2 * each[1]), UNITS[-1])
        low, high = (f"{each / size:.{digits}f}" for each in (self.low, self.high))
        return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"


class RunTimes:
    """Estimates for the runs of a table; the passes of kinds without a finished run are timed when they are asked for.

    Args:
        runs: all of the table.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self._complete: set[Path] = set()
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._finished: dict[str, PlannedRun] = {}
        self._passes: dict[str, float] = {}
        for run in runs:
            if run.is_complete():
                self.add(run)

    def add(self, run: PlannedRun) -> None:
        """Count a run that is complete."""
        self._complete.add(run.folder)
        if (seconds := seconds_taken(run.folder)) > 0:
            self._seconds[run.kind].append(seconds)
            self._finished[run.kind] = run

    def missing(self, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Those that are not complete."""
        return [run for run in runs if run.folder not in self._complete]

    def of(self, run: PlannedRun) -> Duration:
        """Time that is left of a run, 0 where it is complete."""
        if run.folder in self._complete:
            return Duration()
        if known := self._seconds.get(run.kind):
            mean, (low, high) = fmean(known), FROM_ITSELF
        else:
            mean, (low, high) = self._timed(run), self._factors()
        return Duration(low * mean, high * mean).less(seconds_taken(run.folder))

    def total(self, runs: Sequence[PlannedRun]) -> Duration:
        """Time of several runs."""
        return sum(map(self.of, runs), Duration())

    def source(self, runs: Sequence[PlannedRun]) -> str:
        """How the estimate of these runs was made."""
        kinds = {run.kind for run in runs}
        timed = kinds - self._seconds.keys()
        parts = [f"finished runs of {len(kinds) - len(timed)} kinds"] * (len(timed) < len(kinds))
        parts += [f"passes through the towers of {len(timed)} kinds, timed here for a second each"] * bool(timed)
        return f"from {' and '.join(parts)}; rendering and detecting on first use come on top" if kinds else ""

    def _timed(self, run: PlannedRun) -> float:
        """Seconds of the passes of a run, timed once a kind."""
        if run.kind not in self._passes:
            self._passes[run.kind] = passes_seconds(run)
        return self._passes[run.kind]

    def _factors(self) -> tuple[float, float]:
        """Bounds of the seconds of a run over those of its passes.

        They follow from finished runs of other kinds, up to the greatest of `FROM_PASSES`: the first runs also
        rendered their data.
        """
        known = {kind: each for kind, run in self._finished.items() if (each := self._timed(run))}
        if not known:
            return FROM_PASSES
        taken = sum(fmean(self._seconds[kind]) for kind in known)
        ratio = min(FROM_PASSES[1], taken / sum(known.values()))
        return ratio * FROM_OTHERS[0], ratio * FROM_OTHERS[1]


def passes_seconds(run: PlannedRun) -> float:
    """Time of the passes of a run through its towers, s."""
    return sum(each.seconds() for each in run.passes())
