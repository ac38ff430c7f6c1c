"""Every folder under a root, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def walk(root: Path, exclude: Path | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder once, even where links lead back to it, with its visible folders and files by name, in order.

    Args:
        root: where to look, linked folders included.
        exclude: a folder that is not searched, if any.

    Yields:
        A folder, the names of its folders, and of its files; folders removed from their list are not looked into.
    """
    seen: set[tuple[int, int]] = set()
    skipped = exclude and exclude.resolve()
    for name, below, names in os.walk(root, followlinks=True):
        folder = Path(name)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder.resolve() == skipped:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(each for each in below if not each.startswith("."))
        yield folder, below, sorted(each for each in names if not each.startswith("."))
