"""A report as a Markdown table with its footnotes."""

from __future__ import annotations

from collections.abc import Sequence

from avssl.report.column import Column
from avssl.report.comparison import Cell, Comparison, Line
from avssl.report.footnote import footnote
from avssl.report.statistics import Estimate

NONE = "-"
MARKS = {"bootstrap": " †", "welch": " ‡"}
"""Marks of intervals that are not Student's t."""


def markdown(found: Comparison) -> str:
    """The table, two lines a row: its numbers, and its differences to the baseline; footnotes below."""
    heading, body = cells(found)
    table = aligned([heading, *body], left_columns(found))
    notes = ["", *(f"- {escaped(note)}" for note in found.notes)] if found.notes else []
    return "\n".join([*table, "", footnote(found), *notes]) + "\n"


def cells(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the table."""
    titles = [text for column in found.columns for text in [column.title] + ["paper"] * _has_paper(found, column)]
    body = [row for line in found.lines for row in _lines(found, line)]
    return ["task"] * found.names_tasks + ["run", "seeds", *titles], body


def left_columns(found: Comparison) -> int:
    """Number of its columns that hold names."""
    return 1 + found.names_tasks


def _lines(found: Comparison, line: Line) -> list[list[str]]:
    """One row of the table, and the line of differences below it."""
    task = [line.row.task] * found.names_tasks
    numbers, apart = [*task, line.row.title, str(len(line.row.seeds))], [*[""] * len(task), "difference", ""]
    for column, cell in zip(found.columns, line.cells, strict=True):
        numbers.append(_number(cell, column, len(line.row.seeds)))
        apart.append(_difference(cell, column))
        if _has_paper(found, column):
            numbers.append(_paper(cell.published, column))
            apart.append(_paper(cell.published_difference, column, "+"))
    return [numbers] if line.is_baseline else [numbers, apart]


def _number(cell: Cell, column: Column, seeds: int) -> str:
    """Such as `87.5 ± 1.2 [84.4, 90.6]`; says so where fewer than all seeds of the row have it."""
    ours = cell.ours
    if ours is None:
        return NONE
    mean = column.text(ours.value, ours.value)
    deviation = f" ± {column.text(ours.deviation, ours.value)}" if ours.seeds > 1 else ""
    interval = _interval(ours, column, ours.value) if column.compared else ""
    return mean + deviation + interval + (f" ({ours.seeds} of {seeds})" if ours.seeds < seeds else "")


def _difference(cell: Cell, column: Column) -> str:
    """Such as `**+18.6 [15.0, 22.3]**`."""
    apart = cell.difference
    if apart is None or cell.ours is None:
        return ""
    text = column.text(apart.value, cell.ours.value, "+") + _interval(apart, column, cell.ours.value, "+")
    return f"**{text}**" if apart.low > 0 or apart.high < 0 else text


def _interval(found: Estimate, column: Column, like: float, sign: str = "") -> str:
    if not found.method:
        return ""
    low, high = (column.text(end, like, sign) for end in (found.low, found.high))
    return f" [{low}, {high}]{MARKS.get(found.method, '')}"


def _paper(value: float | None, column: Column, sign: str = "") -> str:
    return "" if value is None else column.text(value, value, sign)


def _has_paper(found: Comparison, column: Column) -> bool:
    return any(cell.published is not None for cell in found.cells(column))


def aligned(table: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows of cells as lines of Markdown, the first `left` columns to the left; the first row is the heading."""
    cells = [[escaped(cell) for cell in row] for row in table]
    widths = [max(3, *(len(row[at]) for row in cells)) for at in range(len(cells[0]))]
    rule = ["-" * width if at < left else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    sides = [str.ljust if at < left else str.rjust for at in range(len(widths))]
    filled = [[side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)] for row in cells]
    return [f"| {' | '.join(row)} |" for row in [filled[0], rule, *filled[1:]]]


def escaped(text: str) -> str:
    """Text that neither ends a cell nor begins a tag or a comment."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
