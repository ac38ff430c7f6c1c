"""Report of a benchmark: machine, tables, file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from avssl.bench.case import Absent
from avssl.bench.machine_facts import machine_line
from avssl.bench.timing import Measured, Timing
from avssl.io.atomic import write_text
from avssl.io.tables import table_text

HEADER = (
    "row", "one run", "ours ms", "peer", "ms", "ratio", "of CPU", "aim", "reached", "MB, peer's MB", "x real time",
)  # fmt: skip
NUMBERS = ("ours_ms", "peer_ms", "ratio", "cpu_ratio", "reached", "real_time")
"""Properties of `Timing` that are written beside its fields."""
LEFT = frozenset(("row", "one run", "peer", "reached"))
Outcome = Timing | Measured | Absent


@dataclass(frozen=True)
class BenchReport:
    """Results of one benchmark."""

    facts: dict[str, Any]
    """Machine, see `machine_facts.machine`."""
    rows: Sequence[Outcome]
    """In the order in which they were measured."""
    repeats: int
    """Timed runs of each side, at most."""

    @property
    def timings(self) -> list[Timing]:
        """Rows with a peer."""
        return [each for each in self.rows if isinstance(each, Timing)]

    @property
    def measured(self) -> list[Measured]:
        """Numbers without a peer."""
        return [each for each in self.rows if isinstance(each, Measured)]

    @property
    def absent(self) -> list[Absent]:
        """Rows that could not be measured, and why."""
        return [each for each in self.rows if isinstance(each, Absent)]

    def text(self, width: int | None = None) -> str:
        """Tables of medians, `width` columns wide (None: as the terminal), and the machine in one line."""
        tables = [_rich(*cells) for cells in (comparison_cells(self), quantity_cells(self)) if cells[1]]
        return "\n".join([*(table_text(each, width) for each in tables), self.line()])

    def line(self) -> str:
        """Machine, load and number of runs in one line."""
        return f"{machine_line(self.facts)}; medians of {self.repeats}"

    def markdown(self) -> str:
        """The same tables in Markdown."""
        tables = [_markdown(*cells) for cells in (comparison_cells(self), quantity_cells(self)) if cells[1]]
        return "\n\n".join([*tables, f"{self.line()}."]) + "\n"


Cells = tuple[list[str], list[list[str]]]


def comparison_cells(report: BenchReport) -> Cells:
    """Header and rows of the table of comparisons, without columns that are empty throughout."""
    rows = [_compared(each) for each in report.rows if isinstance(each, Timing | Absent)]
    used = [index for index, _ in enumerate(HEADER) if any(row[index] for row in rows)]
    return [HEADER[index] for index in used], [[row[index] for index in used] for row in rows]


def quantity_cells(report: BenchReport) -> Cells:
    """Header and rows of the table of numbers without a peer."""
    rows = [[each.name, each.work, f"{each.value:.4g}", each.unit] for each in report.measured]
    return ["row", "one run", "median", "unit"], rows


def _compared(row: Timing | Absent) -> list[str]:
    if isinstance(row, Absent):
        return [row.name, row.reason, "", row.peer_name, "", "", "", "", "", "", ""]
    memory = "" if row.ours_mb is None else f"{row.ours_mb:.0f}, {row.peer_mb:.0f}"
    reached = {True: "yes", False: "no", None: ""}[row.reached]
    numbers = [f"{row.ours_ms:.2f}", row.peer_name, f"{row.peer_ms:.2f}", f"{row.ratio:.2f}"]
    numbers.append("" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}")
    aim, speed = f"{row.aim:g}" if row.aim else "", f"{row.real_time:.1f}" if row.seconds else ""
    return [row.name, row.work, *numbers, aim, reached, memory, speed]


def _rich(header: list[str], rows: list[list[str]]) -> Table:
    table = Table()
    for title in header:
        table.add_column(title, justify="left" if title in LEFT else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---" if title in LEFT else "--:" for title in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def write_json(path: Path, report: BenchReport) -> None:
    """Write machine and all single times.

    Raises:
        OSError: the file cannot be written.
    """
    timings = [asdict(each) | {name: getattr(each, name) for name in NUMBERS} for each in report.timings]
    measured = [asdict(each) | {"value": each.value} for each in report.measured]
    absent = [asdict(each) for each in report.absent]
    found = {"machine": report.facts, "timings": timings, "measured": measured, "absent": absent}
    write_text(path, json.dumps(found, indent=1) + "\n")
