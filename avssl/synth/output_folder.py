"""Output folder of a synthetic dataset: contents, settings, ownership."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from avssl.datasets.layouts.synthetic import SETTINGS as SETTINGS
from avssl.datasets.manifest import NAME
from avssl.errors import InputError
from avssl.io.atomic import write_text
from avssl.io.settings import require_same
from avssl.regular_files import read_json

TRUTH = "truth.parquet"
MEDIA = "media"
UNWRITTEN = {"order": 1}
"""Settings that earlier versions left out where they had these values."""


def init_output_folder(out: Path, world: str, settings: dict[str, object], marks: Iterable[str] = (NAME,)) -> None:
    """Make a folder a world's; one that holds a world goes on only with the same settings.

    Args:
        out: the folder; made if it is not there.
        world: its name.
        settings: all that it depends on.
        marks: what shows, where no settings lie beside it, that somebody else wrote here.

    Raises:
        InputError: it is a file, or holds another world or something else.
        OSError: it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder to write to, this is a file")
    note = out / SETTINGS
    if note.is_file():
        wanted = json.loads(json.dumps(settings))
        require_same(out, _read_settings(note), wanted, "give another folder", UNWRITTEN)
    for mark in () if note.is_file() else marks:
        if (out / mark).exists():
            raise InputError(f"{out}: holds {mark}, which {world} did not write; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(settings, indent=1) + "\n")


def _read_settings(note: Path) -> dict[str, object]:
    found = read_json(note, "the settings of a world in JSON")
    if not isinstance(found, dict):
        raise InputError(f"{note}: expected the settings of a world, it holds {found!r:.40}")
    return found
