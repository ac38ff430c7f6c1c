"""Means over seeds and differences between rows, with Student's t intervals.

A seed is one draw of everything that is random in a run; clips are not draws, so that only seeds count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference of means, and how sure it is."""

    value: float
    deviation: float = math.nan
    """Standard deviation of what was averaged (n - 1 in the denominator); nan for one number."""
    low: float = math.nan
    """Lower end of the 95 % interval; nan without one."""
    high: float = math.nan
    seeds: int = 1
    """Numbers that were averaged; of Welch's difference, those of the row with fewer."""
    method: str = ""
    """Method of the interval: t, bootstrap, paired or welch; empty without one."""

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return bool(self.method)

    def within(self, least: float, most: float) -> Estimate:
        """The part of its interval that is possible."""
        return replace(self, low=max(self.low, least), high=min(self.high, most)) if self.bounded else self


def over_seeds(values: Collection[float]) -> Estimate:
    """Mean of one number a seed, with the t interval of n - 1 degrees of freedom; none for one seed."""
    if len(values) < 2:
        return Estimate(fmean(values))
    deviation = stdev(values)
    error = deviation / math.sqrt(len(values))
    return _interval(Estimate(fmean(values), deviation, seeds=len(values), method="t"), error, len(values) - 1)


def difference(row: Mapping[int, float], baseline: Mapping[int, float]) -> Estimate:
    """How much more a row has than the baseline.

    Where both have the same two or more seeds, the mean of the differences seed by seed with its t interval: the same
    seed shares clips and starting weights. Else the difference of the means with Welch's interval (Welch 1947), and
    without an interval where either has one seed.

    Args:
        row: seed -> number.
        baseline: values of the baseline, by seed.
    """
    if row.keys() == baseline.keys():
        return replace(
            over_seeds([row[seed] - baseline[seed] for seed in row]), method="paired" if len(row) > 1 else ""
        )
    both = over_seeds(row.values()), over_seeds(baseline.values())
    found = Estimate(both[0].value - both[1].value, seeds=min(len(row), len(baseline)), method="welch")
    if found.seeds < 2:
        return replace(found, method="")
    # Of each mean: its variance, and the degrees of freedom that this is known with.
    parts = [(each.deviation**2 / each.seeds, each.seeds - 1) for each in both]
    variance = sum(part for part, _ in parts)
    weighted = sum(part**2 / freedom for part, freedom in parts)
    return _interval(found, math.sqrt(variance), variance**2 / weighted if weighted else 1.0)


def _interval(found: Estimate, error: float, freedom: float) -> Estimate:
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return replace(found, low=found.value - reach, high=found.value + reach)
