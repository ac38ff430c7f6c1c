"""Versions of the files that avssl writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avssl.errors import InputError


def check_version(path: Path, found: Any, version: int) -> None:
    """See that a file or folder has the format that this avssl reads.

    Args:
        path: named in the error.
        found: version that it states; anything but a whole number is older than all that state one.
        version: the one that is read.

    Raises:
        InputError: it is older or newer.
    """
    if found == version:
        return
    if isinstance(found, int) and found > version:
        raise InputError(f"{path}: made by a newer avssl (format {found}, expected {version}); update avssl")
    stated = found if isinstance(found, int) else 1
    raise InputError(f"{path}: made by an older avssl (format {stated}, expected {version}); train again")
