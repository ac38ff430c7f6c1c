"""The folder of a made-up world: what lies in it, and whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from avssl.data.atomic import write_text
from avssl.datasets.layouts.synthetic import SETTINGS as SETTINGS
from avssl.datasets.manifest import NAME
from avssl.errors import InputError

TRUTH = "truth.parquet"
MEDIA = "media"


def init_output_folder(out: Path, world: str, settings: dict[str, object], marks: Iterable[str] = (NAME,)) -> None:
    """Make a folder a world's.

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
        found = _read_settings(note)
        differing = [name for name, value in settings.items() if found.get(name) != value]
        if differing:
            name = differing[0]
            raise InputError(
                f"{out}: holds a world of {name} {found.get(name)!r}, not {settings[name]!r}; give another folder"
            )
    for mark in () if note.is_file() else marks:
        if (out / mark).exists():
            raise InputError(f"{out}: holds {mark}, which {world} did not write; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(settings, indent=1) + "\n")


def _read_settings(note: Path) -> dict[str, object]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{note}: expected the settings of a world, cannot read them: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{note}: expected the settings of a world, it holds {found!r:.40}")
    return found
