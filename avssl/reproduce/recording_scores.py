"""Numbers of a fitted generator on recordings, from the statistics of `avssl reproduce generator-clips`."""

from __future__ import annotations

import csv
from pathlib import Path

from avssl.errors import InputError
from avssl.reproduce.fold_table import STATISTICS
from avssl.reproduce.generator_clips import FITTED, TITLES

METRICS = {"explained": ("energy explained", 100.0, " %"), "direction_error": ("direction error", 1.0, "°")}
"""Metric -> its name, factor, unit."""


def recording_scores(folder: Path | None) -> dict[str, str]:
    """Mean over videos with its interval, by metric; empty without a folder.

    Raises:
        InputError: no statistics there, or without the row of the fitted generator.
    """
    if folder is None:
        return {}
    path = folder / STATISTICS
    with path.open(encoding="utf-8", newline="") as file:
        rows = [each for each in csv.DictReader(file) if each["row"] == TITLES[FITTED] and each["statistic"] == "mean"]
    by_metric = {each["metric"]: each for each in rows}
    if not by_metric.keys() >= METRICS.keys():
        expected = f"the row {TITLES[FITTED]!r} of avssl reproduce generator-clips"
        raise InputError(f"{path}: expected {expected} with {', '.join(METRICS)}, got {sorted(by_metric) or 'none'}")
    return {name: _text(by_metric[name], factor, unit) for name, (_, factor, unit) in METRICS.items()}


def _text(row: dict[str, str], factor: float, unit: str) -> str:
    value, low, high = (factor * float(row[name]) for name in ("value", "low", "high"))
    return f"{value:.1f}{unit} [{low:.1f}, {high:.1f}]"
