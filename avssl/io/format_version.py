"""Versions of the files that avssl writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.regular_files import MIB, read_json

MAX_CONFIG = 16 * MIB
"""Bytes of a JSON config that is read."""


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


def read_format(path: Path, kind: str, version: int, what: str) -> dict[str, Any]:
    """Read a JSON mapping of one of avssl's formats.

    Args:
        path: JSON file.
        kind: expected value of `format`.
        version: expected value of `version`.
        what: content, for errors.

    Raises:
        InputError: not JSON, larger than `MAX_CONFIG`, not of this format, or of another version.
    """
    config = read_json(path, f"{what} in JSON", MAX_CONFIG)
    if not isinstance(config, dict) or config.get("format") != kind:
        raise InputError(f"{path}: expected {what} of avssl (format {kind!r}), got something else")
    check_version(path, config.get("version"), version)
    return config
