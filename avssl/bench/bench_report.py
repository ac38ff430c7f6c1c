"""Report of a benchmark: machine, table, file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from avssl import __version__
from avssl.bench.timing import Timing
from avssl.io.atomic import write_text
from avssl.io.cores import usable_cores
from avssl.io.tables import table_text

TUNING = ("GLIBC_TUNABLES", "MALLOC_", "LD_PRELOAD", "OMP_", "GOMP_", "MKL_", "KMP_", "OPENBLAS_")
"""Prefixes of environment variables that affect speed."""


@dataclass(frozen=True)
class BenchReport:
    """Timings of one benchmark."""

    facts: dict[str, Any]
    """Machine, see `machine`."""
    timings: Sequence[Timing]
    """One per row of the table."""
    repeats: int
    """Timed runs of each side."""

    def text(self, width: int | None = None) -> str:
        """Table of medians, `width` columns wide (None: as the terminal), and the machine in one line."""
        return f"{table_text(table(self.timings), width)}\n{machine_line(self.facts)}; medians of {self.repeats}"


def machine() -> dict[str, Any]:
    """Facts about the machine, and environment variables that affect speed."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "avssl": __version__,
        "tuned": {name: value for name, value in sorted(os.environ.items()) if name.startswith(TUNING)},
    }


def machine_line(facts: dict[str, Any]) -> str:
    """Machine in one line."""
    tuned = ", ".join(f"{name}={value}" for name, value in facts["tuned"].items()) or "nothing tuned outside"
    count = f"{facts['threads']} thread{'s' if facts['threads'] != 1 else ''} of {facts['cores']} cores"
    return f"{facts['cpu']}, {count}, torch {facts['torch']}, {tuned}"


def table(timings: Sequence[Timing]) -> Table:
    """One row per case: medians in milliseconds, time of the peer over time of avssl, and speed of avssl on media."""
    rows, media = Table(), any(each.seconds for each in timings)
    for title in ("name", "ours ms", "peer", "ms", "ratio", *(["x real time"] if media else [])):
        rows.add_column(title, justify="left" if title in ("name", "peer") else "right")
    for each in timings:
        speed = [f"{each.real_time:.1f}" if each.seconds else ""] if media else []
        cells = f"{each.ours_ms:.2f}", each.peer_name, f"{each.peer_ms:.2f}", f"{each.ratio:.2f}"
        rows.add_row(each.name, *cells, *speed)
    return rows


def write_json(path: Path, facts: dict[str, Any], timings: Sequence[Timing]) -> None:
    """Write machine and all single times.

    Raises:
        OSError: the file cannot be written.
    """
    rows = [
        asdict(each)
        | {"ours_ms": each.ours_ms, "peer_ms": each.peer_ms, "ratio": each.ratio, "real_time": each.real_time}
        for each in timings
    ]
    write_text(path, json.dumps({"machine": facts, "timings": rows}, indent=1) + "\n")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
