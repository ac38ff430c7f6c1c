"""Scores of a fitted head that comes with avssl, stored beside its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.regular_files import read_json

FILE = "scores.json"
SECTIONS = {"worth": str, "weights": str, "scenes": dict, "metrics": dict, "run": dict}
"""Section -> its type: a line for people; sha256 of the weights; settings of the scenes that were rendered for the
measurement; metrics of these weights on them; metrics of the run that they are from."""


def read_scores(folder: Path) -> dict[str, Any]:
    """Sections of `scores.json`.

    Raises:
        InputError: no such file, or a broken one.
    """
    found = read_json(folder / FILE, "scores of a fitted head in JSON")
    for name, kind in SECTIONS.items():
        if not isinstance(found, dict) or not isinstance(found.get(name), kind):
            raise InputError(f"{folder / FILE}: expected a section {name!r}, got none; make the head again")
    return dict(found)


def worth(folder: Path) -> str:
    """One line on what a head is worth; of a head without scores, that they were not recorded."""
    if not (folder / FILE).is_file():
        return "its scores are not recorded"
    return str(read_scores(folder)["worth"])
