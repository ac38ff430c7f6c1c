"""Names of what is kept of files: another one once a file has changed, the last one once it is gone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


class Names:
    """Names that begin with what is told of a file, and end with its size and time of change.

    Args:
        known: names given before, the latest last.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._last = {name.partition("-")[0]: name for name in known}

    def of(self, path: Path, *about: str) -> str:
        """The name of what is told of a file as it is; of one that is gone, the last known."""
        stem = digest(located(path), *about)
        try:
            status = path.stat()
        except OSError:
            return self._last.get(stem, f"{stem}-gone")
        return f"{stem}-{status.st_size}-{status.st_mtime_ns}"


def digest(*parts: str) -> str:
    """32 hexadecimal digits of some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def located(path: Path) -> str:
    """Where a file is or was, links unresolved: they go with what they lead to."""
    return os.path.normpath(path.absolute())
