"""A report as CSV: every run's raw numbers, and the statistics of every row. Units are those of `metrics.json`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

from avssl.report.comparison import Cell, Comparison, Line
from avssl.report.row import differing
from avssl.report.run_record import Run
from avssl.report.statistics import Estimate

STATISTICS = (
    "task", "row", "metric", "seeds", "mean", "deviation", "low", "high", "interval", "published", "baseline",
    "difference", "difference_low", "difference_high", "difference_interval", "published_difference",
)  # fmt: skip


def statistics_csv(found: Comparison) -> str:
    """A line a row and metric: mean, deviation, 95 % interval, published number, difference to the baseline."""
    lines = [
        [*_names(line), column.name, *_numbers(line, cell)]
        for line in found.lines
        for column, cell in zip(found.columns, line.cells, strict=True)
        if cell.ours
    ]
    return _csv([STATISTICS, *lines])


def runs_csv(found: Comparison) -> str:
    """A line a run: its folder, row and seed, the settings that differ between runs, and every number it has."""
    pairs = [(line, run) for line in found.lines for run in line.row.runs]
    runs = [run for _, run in pairs]
    settings, metrics = differing(runs), list(dict.fromkeys(name for run in runs for name in run.metrics))
    lines = [[*_names(line), str(run.folder), run.seed, *_raw(run, settings, metrics)] for line, run in pairs]
    return _csv([["task", "row", "run", "seed", *settings, *metrics], *lines])


def _names(line: Line) -> list[str]:
    return [line.row.task, line.row.title]


def _numbers(line: Line, cell: Cell) -> list[Any]:
    ours, apart = cell.ours or Estimate(math.nan), cell.difference or Estimate(math.nan)
    baseline = "" if line.is_baseline else line.baseline.title
    return [
        *[ours.seeds, ours.value, ours.deviation, ours.low, ours.high, ours.method, cell.published, baseline],
        *[apart.value, apart.low, apart.high, apart.method, cell.published_difference],
    ]


def _raw(run: Run, settings: Iterable[str], metrics: Iterable[str]) -> list[Any]:
    numbers = [run.metrics.get(name) for name in metrics]
    # A diverged run's nan is a result; only what is not there is left empty.
    return [*(run.settings.get(key) for key in settings), *(repr(each) if each is not None else "" for each in numbers)]


def _csv(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for line in lines:
        writer.writerow("" if isinstance(each, float) and math.isnan(each) else each for each in line)
    return text.getvalue()
