"""Everything a report says, before it is written as table, file or figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from avssl.report.column import Column, columns
from avssl.report.row import Row, baselines, rows
from avssl.report.run_record import Run
from avssl.report.statistics import Estimate, difference


@dataclass(frozen=True)
class Cell:
    """One metric of one row, in the metric's own unit; None where there is nothing."""

    ours: Estimate | None
    difference: Estimate | None
    """To the baseline."""
    published: float | None
    published_difference: float | None
    """To the baseline's published number."""


@dataclass(frozen=True)
class Line:
    """A row beside its baseline."""

    row: Row
    baseline: Row
    cells: list[Cell]
    """One a column."""

    @property
    def is_baseline(self) -> bool:
        """Whether the row is compared with itself."""
        return self.row is self.baseline


@dataclass(frozen=True)
class Comparison:
    """A whole report."""

    columns: list[Column]
    lines: list[Line]
    notes: list[str]
    """Notes on missing numbers, one line each."""

    def cells(self, column: Column) -> list[Cell]:
        """Cells of a column, over all rows."""
        at = self.columns.index(column)
        return [line.cells[at] for line in self.lines]

    @property
    def tasks(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(line.row.task for line in self.lines))

    @property
    def names_tasks(self) -> bool:
        """Whether tasks must be said beside titles: there are several, and some title does not begin with its own."""
        said = all(line.row.title.lower().startswith(line.row.task.lower()) for line in self.lines)
        return len(self.tasks) > 1 and not said


def compare(
    runs: Sequence[Run],
    baseline: str = "",
    metrics: Sequence[str] = (),
    notes: Sequence[str] = (),
    chosen: Sequence[Column] = (),
) -> Comparison:
    """Group runs into rows and compare these.

    Args:
        runs: finished ones.
        baseline: title of the row that others are compared with; empty: the first of each task.
        metrics: to show; empty: those that matter.
        notes: what a reader must know beside.
        chosen: columns to show instead of `metrics`, with headings of their own.

    Raises:
        InputError: no row has that title, no run has a metric, or runs of one row name different published numbers.
    """
    found, names = rows(runs), list(dict.fromkeys(name for run in runs for name in run.metrics))
    shown = list(chosen) or columns(names, metrics)
    pairs = list(zip(found, baselines(found, baseline), strict=True))
    lines = [Line(row, other, [_cell(row, other, column) for column in shown]) for row, other in pairs]
    return Comparison(shown, lines, [*notes, *_repeated(found), *_missing(found, shown), *_unused(found, names)])


def _cell(row: Row, baseline: Row, column: Column) -> Cell:
    mine, theirs = row.by_seed(column.name), baseline.by_seed(column.name)
    published, other = row.published.get(column.name), baseline.published.get(column.name)
    apart = row is not baseline and column.compared
    return Cell(
        row.estimate(column),
        difference(mine, theirs) if apart and mine and theirs else None,
        published,
        published - other if apart and published is not None and other is not None else None,
    )


def _unused(found: Sequence[Row], names: Sequence[str]) -> list[str]:
    published = dict.fromkeys((name, row.title) for row in found for name in row.published)
    return [
        f"{title}: published.{name} is shown nowhere, no run has it" for name, title in published if name not in names
    ]


def _repeated(found: Sequence[Row]) -> list[str]:
    """Rows with several runs of one seed, which are no independent draws."""
    return [
        f"{row.title}: {len(row.runs)} runs of {len(row.seeds)} seeds; those of one seed are averaged first"
        for row in found
        if len(row.runs) > len(row.seeds)
    ]


def _missing(found: Sequence[Row], shown: Sequence[Column]) -> list[str]:
    """Runs without numbers that others of their row have, or with some that are none."""
    notes = []
    for row in found:
        had = {column.name for column in shown for run in row.runs if column.name in run.metrics}
        for run in row.runs:
            absent = [column.name for column in shown if column.name in had - run.metrics.keys()]
            broken = [name for name in had & run.metrics.keys() if not math.isfinite(run.metrics[name])]
            if absent:
                notes.append(f"{run.folder.name}: no {', '.join(absent)}, which other runs of its row have")
            if broken:
                notes.append(f"{run.folder.name}: {', '.join(sorted(broken))} is no finite number, left out of its row")
    return notes
