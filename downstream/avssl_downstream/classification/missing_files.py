"""List of a data set's missing files."""

from __future__ import annotations

import logging
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.io.atomic import write_text

logger = logging.getLogger(f"avssl.{__name__}")

LIST = "missing.txt"


def report_missing_files(dataset: Dataset, folder: Path, noun: str) -> None:
    """Write `missing.txt`, a name a line, and log their number; without missing files, remove it.

    Args:
        dataset: with the names of missing files.
        folder: output folder, created if there are missing files.
        noun: kind of file, such as videos.
    """
    path = folder / LIST
    if not dataset.missing_names:
        path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    names = dataset.missing_names
    write_text(path, "".join(f"{name}\n" for name in names))
    logger.warning("%s: continuing without %d missing %s, listed in %s", dataset.root, len(names), noun, path)
