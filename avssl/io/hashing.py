"""Hashes of the contents of files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from avssl.regular_files import open_regular

BLOCK = 2**20


def sha256(*paths: Path) -> str:
    """Hexadecimal sha256 of the contents of some files, one after the other.

    Raises:
        InputError: a named pipe, socket or device.
        OSError: one cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        with open_regular(path, "a file to hash") as file:
            while block := file.read(BLOCK):
                total.update(block)
    return total.hexdigest()


def cached_sha256(path: Path) -> str:
    """As `sha256` of one file, computed once in a process while its inode, size and time of change are the same.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return _sha256_of(path.absolute(), status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, inode: int, size: int, changed: int) -> str:
    return sha256(path)
