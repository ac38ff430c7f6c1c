"""JSON files of avssl's formats, of bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avssl.errors import InputError, MissingFileError, excerpt
from avssl.io.format_version import check_version

MOST_BYTES = 2**24
"""Largest JSON file that is read: 16 MiB."""


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        MissingFileError: no such file.
        InputError: not JSON, nested too deeply, or larger than `MOST_BYTES`.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected a JSON file, got none")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(f"{path}: expected JSON of at most {MOST_BYTES} bytes, got {size}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InputError(f"{path}: expected JSON, got values nested too deeply to be read") from error
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got {excerpt(error)}") from error


def read_format(path: Path, kind: str, version: int, what: str) -> dict[str, Any]:
    """Read a JSON mapping of one of avssl's formats.

    Args:
        path: JSON file.
        kind: expected value of `format`.
        version: expected value of `version`.
        what: content, for errors.

    Raises:
        InputError: not JSON, not of this format, or of another version.
    """
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != kind:
        raise InputError(f"{path}: expected {what} of avssl (format {kind!r}), got something else")
    check_version(path, config.get("version"), version)
    return config
