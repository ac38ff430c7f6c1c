"""Label synthetic datasets that have the layout of a real one."""

from __future__ import annotations

from pathlib import Path

from avssl.errors import InputError
from avssl.regular_files import read_json

SETTINGS = "scenes.json"
"""File with the name and settings of a synthetic dataset."""


def synthetic(root: Path) -> str:
    """Name of the synthetic dataset in a folder; empty where there is none.

    Raises:
        InputError: the settings file cannot be read.
    """
    note = root / SETTINGS
    if not note.exists():
        return ""
    found = read_json(note, "the settings of a synthetic dataset in JSON")
    try:
        return str(found["world"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{note}: expected the settings of a synthetic dataset: {error!r}") from error


def set_name(root: Path, real: str) -> str:
    """Title of a data set in results: the real set's name, or that of the synthetic dataset in its layout."""
    name = synthetic(root)
    return f"synthetic {name} ({real} layout)" if name else real
