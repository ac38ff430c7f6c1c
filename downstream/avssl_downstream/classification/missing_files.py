"""What a data set lacks, said and listed."""

from __future__ import annotations

import sys
from pathlib import Path

from avssl.datasets.labelled_dataset import Labelled
from avssl.io.atomic import write_text

LIST = "missing.txt"


def report_missing(labelled: Labelled, folder: Path, what: str) -> None:
    """Leave `missing.txt`, a name a line, and say how many there are; where nothing is missing, neither.

    Args:
        labelled: the data set, which may go on without them.
        folder: made if there is something to list.
        what: they are, such as videos.
    """
    path = folder / LIST
    if not labelled.missing:
        path.unlink(missing_ok=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{name}\n" for name in labelled.missing))
    print(
        f"{labelled.root}: goes on without {len(labelled.missing)} {what} that are missing, listed in {path}",
        file=sys.stderr,
    )
