"""What a data set lacks, said and listed."""

from __future__ import annotations

import logging
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.io.atomic import write_text

logger = logging.getLogger(f"avssl.{__name__}")

LIST = "missing.txt"


def report_missing(labelled: Dataset, folder: Path, what: str) -> None:
    """Leave `missing.txt`, a name a line, and say how many there are; where nothing is missing, neither.

    Args:
        labelled: the data set, which may go on without them.
        folder: made if there is something to list.
        what: they are, such as videos.
    """
    path = folder / LIST
    if not labelled.missing_names:
        path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    names = labelled.missing_names
    write_text(path, "".join(f"{name}\n" for name in names))
    logger.warning("%s: goes on without %d %s that are missing, listed in %s", labelled.root, len(names), what, path)
