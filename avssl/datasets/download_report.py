"""Report of `avssl download`: which videos are there, and which are not and why."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from avssl.io.atomic import write_text
from avssl.io.tables import table_text
from avssl.printable_text import printable

REPORT, GONE = "report.json", "missing.csv"
SHOWN = 25
"""Rows of a table on the screen; the files hold all."""
DONE = "done"
LATER = ("network", "rate limited", "broken")
"""Reasons that another run may not meet; the others are not tried again unless asked for."""
_REASONS = (
    ("rate limited", ("http error 429", "too many requests", "not a bot", "rate-limited", "rate limited")),
    ("private", ("private video", "is private", "members-only", "join this channel")),
    ("account closed", ("account associated with this video has been terminated", "account has been terminated")),
    ("not in this country", ("available in your country", "blocked it in your country", "geo restrict",
                             "geo-restrict", "from your location")),
    ("age", ("confirm your age", "age-restricted", "inappropriate for some users")),
    ("gone", ("video unavailable", "has been removed", "no longer available", "does not exist", "http error 404",
              "http error 410", "video is not available", "removed by the uploader", "copyright")),
    ("network", ("timed out", "unable to download", "connection", "getaddrinfo", "http error 5", "resolve",
                 "http error 403", "incomplete")),
)  # fmt: skip


@dataclass(frozen=True)
class DownloadReport:
    """The state of an output folder after a run of `download`."""

    out: Path
    entries: Mapping[str, Mapping[str, Any]]
    """Id -> its journal entry, with `status`, `reason` and `files`."""
    new: int
    """Videos downloaded by this run."""

    @property
    def done(self) -> int:
        """Videos in the folder."""
        return sum(each["status"] == DONE for each in self.entries.values())

    @property
    def missing(self) -> Sequence[Mapping[str, Any]]:
        """Entries of videos that are not in the folder."""
        return [each for each in self.entries.values() if each["status"] != DONE]

    def write(self) -> None:
        """Write `report.json` and `missing.csv`, each atomically."""
        summary = {
            "videos": len(self.entries),
            "done": self.done,
            "missing": dict(Counter(each["status"] for each in self.missing)),
            "audio": self._counts("audio"),
            "projection": self._counts("projection"),
            "entries": list(self.entries.values()),
        }
        write_text(self.out / REPORT, json.dumps(summary, indent=1) + "\n")
        target = io.StringIO()
        rows = csv.writer(target, lineterminator="\n")
        rows.writerow(("id", "status", "reason"))
        rows.writerows((each["key"], each["status"], each["reason"]) for each in self.missing)
        write_text(self.out / GONE, target.getvalue())

    def text(self) -> str:
        """The totals and the missing videos, as tables."""
        table = Table("downloaded", escape(printable(self.out)))
        table.add_row("videos", f"{self.done} of {len(self.entries)} ({self.new} new)")
        for title in ("audio", "projection"):
            counts = ", ".join(f"{name}: {times}" for name, times in self._counts(title).items())
            table.add_row(title, escape(counts) or "none")
        missing = Table(
            Column("missing", overflow="fold"),
            "status",
            Column("reason", overflow="fold"),
            caption=f"and {len(self.missing) - SHOWN} more in {GONE}" if len(self.missing) > SHOWN else None,
        )
        for each in self.missing[:SHOWN]:
            missing.add_row(each["key"], each["status"], escape(printable(each["reason"])))
        return "\n".join(map(table_text, [table, missing] if self.missing else [table]))

    def _counts(self, key: str) -> dict[str, int]:
        return dict(Counter(each[key] for each in self.entries.values() if each["status"] == DONE))


def status_of(message: str) -> str:
    """Kind of reason of a site's message: gone, private, age, rate limited, network, ...; other if unknown."""
    text = message.lower().replace("\u2019", "'")
    return next((status for status, parts in _REASONS if any(part in text for part in parts)), "other")
