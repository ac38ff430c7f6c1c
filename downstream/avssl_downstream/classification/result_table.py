"""Table of results: one row a set of encoders, ablation or baseline."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from avssl.datasets.dataset import Dataset
from avssl.io.atomic import replacing
from avssl.io.tables import table_text

logger = logging.getLogger(f"avssl.{__name__}")

COLUMNS = ("accuracy", "accuracy_deviation", "accuracy_low", "accuracy_high", "recording_accuracy", "log_loss")
TITLES = {
    "": "encoders",
    "random": "random encoders",
    "logmel": "log-mel statistics",
    "dirac_gmm": "DirAC + Gaussian mixtures",
}


def write_table(folder: Path, dataset: Dataset, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Write `table.csv`, and log the same table.

    Args:
        folder: existing output folder.
        dataset: classified segments.
        rows: row name -> metrics.
    """
    with replacing(folder / "table.csv") as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", *COLUMNS])
        writer.writerows([_title(name), *(_number(row, column) for column in COLUMNS)] for name, row in rows.items())
    counts = f"{len(dataset.recordings)} segments of {len({each.group for each in dataset.recordings})} recordings"
    table = Table(title=f"{dataset.name}: {counts}, {len(dataset.folds)} fold" + "s" * (len(dataset.folds) > 1))
    for heading in ("row", "accuracy", "95 %", "by recording", "log-loss"):
        table.add_column(heading)
    for name, row in rows.items():
        deviation = f" ± {100 * row['accuracy_deviation']:.1f}" if "accuracy_deviation" in row else ""
        interval = f"{100 * row['accuracy_low']:.1f} - {100 * row['accuracy_high']:.1f}"
        accuracy, recordings = (f"{100 * row[key]:.1f}" for key in ("accuracy", "recording_accuracy"))
        table.add_row(_title(name), accuracy + deviation, interval, recordings, f"{row['log_loss']:.3f}")
    logger.info("%s", table_text(table))


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))


def _number(row: Mapping[str, float], column: str) -> str:
    return f"{row[column]:.4f}" if column in row else ""
