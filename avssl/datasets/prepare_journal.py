"""What an output folder holds already, so that `prepare` can be stopped and started again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avssl.data.atomic import write_text
from avssl.datasets.layouts.recording import Recording
from avssl.datasets.manifest import NAME, Row
from avssl.errors import InputError

SETTINGS = "prepare.json"
ENTRIES = "prepared.jsonl"


class Journal:
    """The prepared clips of an output folder: one line a clip, written after its files are in place.

    Args:
        out: the output folder, made if it is not there; nobody else may be writing to it.
        settings: what the proxies depend on; a folder with clips in it belongs to one such choice.

    Raises:
        InputError: `out` belongs to other settings.
        OSError: it cannot be written.
    """

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        self.out = out
        self.entries = out / ENTRIES
        self._kept = _read(self.entries)
        if self._kept:
            _compare(out, settings)
        write_text(out / SETTINGS, json.dumps(settings, indent=1) + "\n")
        # Rewritten, because a line that a crash cut short would spoil the next one.
        write_text(self.entries, "".join(json.dumps(entry) + "\n" for entry in self._kept.values()))

    def find(self, recording: Recording) -> Row | None:
        """The row of a recording that was prepared from the same files, if what was written is still there."""
        entry = self._kept.get(recording.key)
        if entry is None or entry["source"] != fingerprint(recording):
            return None
        row = Row(**(entry["row"] | {"split": recording.split}))
        return row if entry["written"] == self._sizes(row) else None

    def add(self, recording: Recording, row: Row) -> None:
        """Note that a recording is prepared and its files are in place."""
        entry = {
            "key": row.key,
            "source": fingerprint(recording),
            "written": self._sizes(row),
            "row": asdict(row),
        }
        with self.entries.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _sizes(self, row: Row) -> list[int]:
        paths = (self.out / row.video, self.out / row.audio)
        return [path.stat().st_size if path.is_file() else -1 for path in paths]


def fingerprint(recording: Recording) -> list[list[str | int]]:
    """Name, size and time of change of a recording's files, of a folder those of its files; size -1 if gone."""
    return [_file_facts(path) for path in (recording.video, recording.audio)]


def _file_facts(path: Path) -> list[str | int]:
    name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
    try:
        found = [each.stat() for each in (path.iterdir() if path.is_dir() else (path,))]
        return [name, sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)]
    except (OSError, ValueError):
        return [name, -1, -1]


def init_prepare_folder(out: Path) -> None:
    """Make an output folder, or see that it is one of ours.

    Raises:
        InputError: a file, or the folder of another command.
        OSError: it cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder to write to, this is a file")
    if (out / NAME).exists() and not (out / SETTINGS).is_file():
        raise InputError(f"{out}: holds a manifest that `avssl prepare` did not write; give another folder")
    out.mkdir(parents=True, exist_ok=True)


def _compare(out: Path, settings: dict[str, Any]) -> None:
    note = out / SETTINGS
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{note}: expected the settings of `avssl prepare`, cannot read them: {error}") from error
    for name, value in settings.items():
        if found.get(name) != value:
            raise InputError(
                f"{out}: was prepared with {name} {found.get(name)!r}, now {value!r}; give another folder, or delete it"
            )


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The last whole line of each key."""
    entries: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
            Row(**entry["row"])
            entries[entry["key"]] = {name: entry[name] for name in ("key", "source", "written", "row")}
        except (ValueError, KeyError, TypeError):
            continue  # cut short by a crash, or of another version; the clip is prepared again
    return entries
