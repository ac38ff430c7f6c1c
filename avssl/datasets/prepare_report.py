"""Report of `avssl prepare`: a text table, `report.json` and `failed.parquet`."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Column, Table

from avssl.datasets.manifest import Row
from avssl.io.atomic import write_text
from avssl.io.parquet_table import write_parquet
from avssl.io.tables import table_text
from avssl.printable_text import printable

FACTS = ("key", "seconds", "sample_rate", "layout", "silent_channels", "azimuth", "elevation", "diffuseness")
HEADINGS = ("seconds", "Hz", "layout", "silent", "azimuth", "elevation", "diffuse")
FAILED = "failed.parquet"
REPORT = "report.json"
SHOWN = 25
"""Rows of a table on the screen; the files hold all."""


@dataclass(frozen=True)
class Failure:
    """A recording that could not be prepared."""

    key: str
    """Key of the recording."""
    source: str
    """Path of its video."""
    reason: str
    """Error message."""


@dataclass(frozen=True)
class PrepareReport:
    """The state of an output folder after a run of `prepare`."""

    out: Path
    """Folder of `manifest.parquet`."""
    rows: list[Row]
    """All prepared clips, of this run and earlier ones."""
    failures: list[Failure]
    """Recordings that could not be prepared."""
    skipped: int
    """Clips that an earlier run had prepared."""
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names in the data set's lists without files: kind -> names."""
    lists: str = ""
    """Set of split lists that was used."""
    leakage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Set of split lists -> number of its test clips, and how many of them are in each other list."""

    @property
    def done(self) -> int:
        """Clips prepared by this run."""
        return len(self.rows) - self.skipped

    @property
    def failed(self) -> int:
        """Recordings that could not be prepared."""
        return len(self.failures)

    def summary(self) -> dict[str, Any]:
        """Content of `report.json`: totals, missing names, and one row per clip; unknown numbers are None."""
        return {
            "clips": len(self.rows),
            "hours": sum(row.seconds for row in self.rows) / 3600,
            "done": self.done,
            "skipped": self.skipped,
            "failed": self.failed,
            "layouts": dict(Counter(row.layout for row in self.rows)),
            "silent_channels": dict(Counter(row.silent_channels for row in self.rows if row.silent_channels)),
            "splits": dict(Counter(row.split for row in self.rows if row.split)),
            "lists": self.lists,
            "leakage": self.leakage,
            "missing": {kind: {"count": len(names), "names": names} for kind, names in self.missing.items()},
            "rows": [{name: _finite(getattr(row, name)) for name in FACTS} for row in self.rows],
        }

    def write(self) -> None:
        """Write `report.json` and `failed.parquet`, each atomically."""
        write_text(self.out / REPORT, json.dumps(self.summary(), indent=1, allow_nan=False) + "\n")
        columns = {name: [getattr(each, name) for each in self.failures] for name in ("key", "source", "reason")}
        table = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))
        write_parquet(self.out / FAILED, table)

    def text(self) -> str:
        """The totals, the clips and the failures, as tables."""
        tables = [
            self._totals(),
            *([self._clips()] if self.rows else []),
            *([self._reasons()] if self.failures else []),
        ]
        return "\n".join(map(table_text, tables))

    def _totals(self) -> Table:
        summary = self.summary()
        table = Table("prepared", escape(printable(self.out)))
        table.add_row("clips", f"{len(self.rows)} ({self.done} new, {self.skipped} from before)")
        table.add_row("hours", f"{summary['hours']:.3f}")
        table.add_row("failed", str(self.failed))
        for title in ("layouts", "silent_channels", "splits"):
            counts = ", ".join(f"{name}: {times}" for name, times in summary[title].items())
            table.add_row(title.replace("_", " "), counts or "none")
        if self.lists:
            table.add_row("split by", escape(printable(self.lists)))
        for name, count in self.leakage.get(self.lists, {}).items():
            if count and name != "test":
                tested = self.leakage[self.lists]["test"]
                table.add_row("leakage", f"{count} of {tested} test clips are in {escape(printable(name))}")
        for kind, names in self.missing.items():
            table.add_row(f"missing {kind}", str(len(names)))
        return table

    def _clips(self) -> Table:
        table = Table(Column("key", overflow="fold"), *HEADINGS, caption=_more(len(self.rows), REPORT))
        for row in self.rows[:SHOWN]:
            table.add_row(*(escape(_shown(getattr(row, name))) for name in FACTS))
        return table

    def _reasons(self) -> Table:
        table = Table(
            Column("failed", overflow="fold"), Column("reason", overflow="fold"), caption=_more(self.failed, FAILED)
        )
        for failure in self.failures[:SHOWN]:
            table.add_row(escape(failure.source), escape(failure.reason))
        return table


def by_key(failures: Sequence[Failure]) -> list[Failure]:
    """Failures in the order of their keys."""
    return sorted(failures, key=lambda each: each.key)


def _shown(value: str | float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _finite(value: str | float) -> str | float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _more(count: int, file: str) -> str | None:
    return f"and {count - SHOWN} more in {file}" if count > SHOWN else None
