"""Data sets that avssl made up in the shape of real ones: their readers say so."""

from __future__ import annotations

import json
from pathlib import Path

from avssl.errors import InputError

SETTINGS = "scenes.json"
"""The file by which every made-up world tells its name and what it was made from."""


def synthetic(root: Path) -> str:
    """The name of the made-up world that a folder holds; empty where it holds none.

    Raises:
        InputError: the world's file cannot be read.
    """
    note = root / SETTINGS
    if not note.is_file():
        return ""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["world"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note}: expected the settings of a made-up world: {error!r}") from error


def set_name(root: Path, real: str) -> str:
    """What the results of a data set are labelled with: the real set's name, or what was made up in its shape."""
    world = synthetic(root)
    return f"made-up {world} ({real} layout)" if world else real
