"""Journal of `avssl prepare`: the clips that an output folder holds already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from avssl.datasets.dataset import Recording
from avssl.datasets.manifest import NAME, Row
from avssl.errors import InputError
from avssl.io.jsonl_journal import Entry, JsonlJournal
from avssl.regular_files import file_status

ENTRIES = "prepared.jsonl"
FIELDS = ("key", "source", "written", "row")
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int)}
"""Type of a column -> types of its values."""


class Journal(JsonlJournal):
    """The prepared clips of an output folder: one line a clip, written after its files are in place.

    Args:
        out: the output folder; it exists.
        root: folder that the paths of recordings are relative to.
        settings: options of the proxies; all clips of a folder share them.

    Raises:
        InputError: on entering, `out` belongs to other settings.
        OSError: it cannot be written.
    """

    def __init__(self, out: Path, root: Path, settings: Mapping[str, Any]) -> None:
        advice = "give another folder, or delete it"
        super().__init__(out / ENTRIES, settings, _parsed, advice=advice)
        self.out, self.root = out, root

    def find(self, recording: Recording) -> Row | None:
        """Row of a recording that was prepared from the same files, if its proxies still exist."""
        entry = self.entries.get(recording.key)
        if entry is None or entry["source"] != fingerprint(self.root, recording):
            return None
        row = Row(**(entry["row"] | {"split": recording.split}))
        return row if entry["written"] == self._sizes(row) else None

    def note(self, recording: Recording, row: Row) -> None:
        """Append a prepared recording; its files are in place."""
        written, source = self._sizes(row), fingerprint(self.root, recording)
        self.add({"key": row.key, "source": source, "written": written, "row": asdict(row)})

    def _sizes(self, row: Row) -> list[int]:
        paths = (self.out / row.video, self.out / row.audio)
        return [path.stat().st_size if path.is_file() else -1 for path in paths]


def fingerprint(root: Path, recording: Recording) -> list[list[str | int]]:
    """Name, size and time of change of a recording's files, of a folder those of its files; size -1 if gone."""
    return [_file_facts(root / path) for path in (recording.video, recording.audio)]


def _file_facts(path: Path) -> list[str | int]:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    try:
        found = [file_status(each) for each in (path.iterdir() if path.is_dir() else (path,))]
        return [name, sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)]
    except (OSError, ValueError):
        return [name, -1, -1]


def check_prepare_folder(out: Path) -> None:
    """Check that an output folder is new, or that `avssl prepare` wrote it.

    Raises:
        InputError: the folder of another command.
    """
    if (out / NAME).exists() and not (out / ENTRIES).is_file():
        raise InputError(f"{out}: holds a manifest that `avssl prepare` did not write; give another folder")


def _parsed(entry: Entry) -> Entry:
    """The fields of an entry.

    Raises:
        LookupError: one is missing.
        TypeError: the row lacks a column, or has another.
        ValueError: a value of the row has another type than its column.
    """
    row = Row(**entry["row"])
    for column in fields(Row):
        value = getattr(row, column.name)
        if type(value) not in KINDS[str(column.type)]:
            raise ValueError(f"{column.name}: {value!r}")
    return {name: entry[name] for name in FIELDS}
