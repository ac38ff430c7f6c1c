"""What tells files apart by their contents."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 2**20


def sha256(*paths: Path) -> str:
    """Hexadecimal sha256 of the contents of some files, one after the other.

    Raises:
        OSError: one cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                total.update(block)
    return total.hexdigest()
