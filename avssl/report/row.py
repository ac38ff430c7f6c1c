"""A row of a report: the runs that differ only in the seed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from avssl.errors import InputError
from avssl.plugins import hint
from avssl.report.column import Column
from avssl.report.run_record import Run
from avssl.report.statistics import Estimate, over_seeds

MOST_SETTINGS = 4
"""That a title may name."""


@dataclass(frozen=True)
class Row:
    """Runs of the same settings."""

    title: str
    """Unique among the rows of its task."""
    task: str
    runs: tuple[Run, ...]
    published: dict[str, float]
    """Metric -> the paper's number."""

    @property
    def seeds(self) -> list[int]:
        """In order; several runs of one seed count as one."""
        return sorted({run.seed for run in self.runs})

    def having(self, metric: str) -> list[Run]:
        """The runs that have a finite number."""
        return [run for run in self.runs if math.isfinite(run.metrics.get(metric, math.nan))]

    def by_seed(self, metric: str) -> dict[int, float]:
        """Seed -> number, for the seeds that have a finite one; the mean of a seed's runs."""
        found = defaultdict(list)
        for run in self.having(metric):
            found[run.seed].append(run.metrics[metric])
        return {seed: fmean(found[seed]) for seed in sorted(found)}

    def estimate(self, column: Column) -> Estimate | None:
        """Mean over seeds with its interval, a single run's own interval over clips; None without numbers."""
        having = self.having(column.name)
        if not having:
            return None
        found = over_seeds(self.by_seed(column.name).values())
        if len(having) == 1:
            found = _own_interval(having[0], column.name, found)
        return found.within(*column.bounds)


def rows(runs: Sequence[Run]) -> list[Row]:
    """Runs grouped into rows, those of one task together, otherwise in the order they were given."""
    groups: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        groups[run.task][run.identity].append(run)
    return [row for task, of_task in groups.items() for row in _titled(task, list(of_task.values()))]


def baselines(found: Sequence[Row], title: str = "") -> list[Row]:
    """The row that each row is compared with.

    Args:
        found: the rows.
        title: of the baseline; that of the same task if there are several. Empty: the first row of each task.

    Raises:
        InputError: no row has this title.
    """
    named = [row for row in found if not title or row.title == title]
    if not named:
        titles = list(dict.fromkeys(row.title for row in found))
        raise InputError(f"no row is titled {title!r}{hint(title, titles)}; there are {'; '.join(titles)}")
    return [next((each for each in named if each.task == row.task), named[0]) for row in found]


def differing(runs: Collection[Run]) -> list[str]:
    """Settings that are not the same in all of them; a missing one is another value than any."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return [key for key in keys if len({_written(run, key) for run in runs}) > 1]


def _titled(task: str, groups: list[list[Run]]) -> list[Row]:
    by_label: dict[str, list[Run]] = defaultdict(list)
    for group in groups:
        by_label[group[0].label].append(group[0])
    titles = [_title(group[0], by_label[group[0].label]) for group in groups]
    unique = [
        title if titles.count(title) == 1 else f"{title}, as {group[0].folder.name}"
        for title, group in zip(titles, groups, strict=True)
    ]
    return [Row(title, task, tuple(group), _published(group)) for title, group in zip(unique, groups, strict=True)]


def _published(runs: Sequence[Run]) -> dict[str, float]:
    """Published numbers that runs of a row name; not every run has to.

    Raises:
        InputError: they name different numbers.
    """
    found: dict[str, float] = {}
    for run in runs:
        for name, value in run.published.items():
            if found.setdefault(name, value) != value:
                before = f"{found[name]:g} in other runs of its row"
                raise InputError(f"{run.folder}: published.{name} is {value:g}, {before}: make them the same")
    return found


def _title(run: Run, same_label: list[Run]) -> str:
    """The label, and what tells the row from others of this label, unless that is too much to say."""
    keys = differing(same_label)
    return ", ".join([run.label, *(_written(run, key) for key in keys if len(keys) <= MOST_SETTINGS)])


def _written(run: Run, key: str) -> str:
    if key not in run.settings:
        return f"no {key}"
    value: Any = run.settings[key]
    return f"{key}={'(empty)' if value == '' else value}"


def _own_interval(run: Run, metric: str, found: Estimate) -> Estimate:
    low, high = (run.metrics.get(f"{metric}{end}", math.nan) for end in ("_low", "_high"))
    known = math.isfinite(low) and math.isfinite(high)
    return Estimate(found.value, low=low, high=high, method="bootstrap") if known else found
