"""A report as a figure: a panel a metric, a row a line, as forest plots are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avssl.io.atomic import replacing
from avssl.report.column import Column
from avssl.report.comparison import Cell, Comparison

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of the tasks, distinct for colour-blind readers (Okabe and Ito 2008)."""
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.grid.axis": "x", "axes.axisbelow": True, "grid.color": "0.9", "grid.linewidth": 0.6, "axes.linewidth": 0.6,
    "pdf.fonttype": 42,
    "text.parse_math": False,
}  # fmt: skip
PUBLISHED: dict[str, Any] = {
    "marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 4.5, "markeredgewidth": 0.9,
    "linestyle": "none", "zorder": 3,
}  # fmt: skip
OF_ONE_RUN = (0, (1, 1))
"""Dashes of an interval over clips."""
LABEL_WIDTH = 34
"""Letters in a line of a row's title."""
DPI = 200


def draw(found: Comparison, *paths: Path) -> bool:
    """Write the figure to files, `.png` or `.pdf`; False where there is no metric to draw, and so no file."""
    made = figure(found)
    for path in paths if made else ():
        with replacing(path) as part:
            made.savefig(part, dpi=DPI, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
    return made is not None


def figure(found: Comparison) -> Any:
    """Mean, interval and single seeds of every row, the published number as a hollow diamond, chance as a dashed line.

    Returns:
        A `matplotlib.figure.Figure`, or None where no metric has numbers by which rows are compared.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [column for column in found.columns if column.compared and any(cell.ours for cell in found.cells(column))]
    if not shown:
        return None
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(2.2 + 2.0 * len(shown), 1.1 + 0.36 * len(found.lines)), layout="constrained")
        FigureCanvasAgg(made)
        panels = made.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, column in zip(panels, shown, strict=True):
            _panel(axes, found, column)
        _rows(panels[0], found)
        made.legend(handles=_legend(found, shown), loc="outside lower center", ncols=4, frameon=False)
    return made


def _panel(axes: Any, found: Comparison, column: Column) -> None:
    axes.set_title(column.title)
    scale = 100 if column.share else 1
    if column.chance is not None:
        axes.axvline(scale * column.chance, color="0.4", linestyle=(0, (4, 3)), linewidth=0.9, zorder=1)
    for at, (line, cell) in enumerate(zip(found.lines, found.cells(column), strict=True)):
        seeds = [scale * value for value in line.row.by_seed(column.name).values()]
        _row(axes, at, cell, seeds, scale, _colour(found, line.row.task))
    axes.tick_params(left=False)
    axes.margins(x=0.08)


def _row(axes: Any, at: int, cell: Cell, seeds: list[float], scale: float, colour: str) -> None:
    ours = cell.ours
    if ours and len(seeds) > 1:
        axes.plot(seeds, [at + 0.22] * len(seeds), "o", color=colour, alpha=0.45, markersize=2.5, markeredgewidth=0)
    if ours:
        dashes = OF_ONE_RUN if ours.method == "bootstrap" else "-"
        axes.plot([scale * ours.low, scale * ours.high], [at, at], color=colour, linewidth=1.3, linestyle=dashes)
        axes.plot(scale * ours.value, at, "o", color=colour, markersize=4.5)
    if cell.published is not None:
        axes.plot(scale * cell.published, at - 0.24, **PUBLISHED)


def _rows(axes: Any, found: Comparison) -> None:
    """Titles of the rows, the first on top, and a line between tasks."""
    tasks = [line.row.task for line in found.lines]
    titles = [f"{line.row.task}: " * found.names_tasks + line.row.title for line in found.lines]
    labels = ["\n".join(textwrap.wrap(title, LABEL_WIDTH)) for title in titles]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for axis in axes.figure.axes:
        for at in (at for at in range(1, len(tasks)) if tasks[at] != tasks[at - 1]):
            axis.axhline(at - 0.5, color="0.75", linewidth=0.6)


def _legend(found: Comparison, shown: Sequence[Column]) -> list[Any]:
    """Legend of the marks that are drawn."""
    from matplotlib.lines import Line2D

    cells = [cell for column in shown for cell in found.cells(column)]
    methods = {cell.ours.method for cell in cells if cell.ours}
    marks = []
    if "t" in methods:
        marks.append(Line2D([], [], marker="o", color="0.2", markersize=4.5, label="mean, 95 % interval over seeds"))
        marks.append(Line2D([], [], marker="o", color="0.6", markersize=2.5, linestyle="none", label="single seeds"))
    if "bootstrap" in methods:
        dotted: dict[str, Any] = {"color": "0.2", "markersize": 4.5, "linestyle": OF_ONE_RUN}
        marks.append(Line2D([], [], marker="o", label="one run, 95 % interval over clips", **dotted))
    if any(cell.published is not None for cell in cells):
        marks.append(Line2D([], [], label="published", **PUBLISHED))
    if any(column.chance is not None for column in shown):
        marks.append(Line2D([], [], color="0.4", linestyle=(0, (4, 3)), linewidth=0.9, label="chance"))
    return marks


def _colour(found: Comparison, task: str) -> str:
    return COLOURS[found.tasks.index(task) % len(COLOURS)]
