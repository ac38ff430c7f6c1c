"""Output folder of a synthetic dataset: contents, settings, ownership."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from avssl.datasets.layouts.synthetic import SETTINGS as SETTINGS
from avssl.datasets.manifest import NAME
from avssl.errors import InputError
from avssl.io.atomic import write_text
from avssl.io.folder_lock import folder_lock
from avssl.io.settings import require_same
from avssl.regular_files import read_json

TRUTH = "truth.parquet"
MEDIA = "media"
UNWRITTEN = {"order": 1, "sides": "one", "test_type": "", "objects": 3, "depth": "all"}
"""Settings that are left out where they have these values."""


@contextmanager
def output_folder(out: Path, world: str, settings: dict[str, object], marks: Iterable[str] = (NAME,)) -> Iterator[None]:
    """Make a folder a world's, and hold it; one that holds a world goes on only with the same settings.

    Args:
        out: the folder; made if it is not there.
        world: its name.
        settings: all that it depends on.
        marks: what shows, where no settings lie beside it, that somebody else wrote here.

    Raises:
        InputError: it is a file, holds another world or something else, or another process writes there.
        OSError: it cannot be written.
    """
    with folder_lock(out):
        _init(out, world, settings, marks)
        yield


def _init(out: Path, world: str, settings: dict[str, object], marks: Iterable[str]) -> None:
    note = out / SETTINGS
    written = note.is_file() and note.stat().st_size > 0  # a power cut may leave it empty
    if written:
        wanted = json.loads(json.dumps(settings))
        require_same(out, _read_settings(note), wanted, "give another folder", UNWRITTEN)
    for mark in () if written else marks:
        if (out / mark).exists():
            raise InputError(f"{out}: holds {mark}, which {world} did not write; give another folder")
    write_text(note, json.dumps(settings, indent=1) + "\n")


def _read_settings(note: Path) -> dict[str, object]:
    found = read_json(note, "the settings of a world in JSON")
    if not isinstance(found, dict):
        raise InputError(f"{note}: expected the settings of a world, it holds {found!r:.40}")
    return found
