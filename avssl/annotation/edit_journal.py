"""Append-only journal of edits: each is on the disk before it counts, so that a killed server loses none.

The first line holds the generation of the annotation file that the edits follow. The file that holds them all has the
next one, so that a server killed between writing that file and emptying the journal applies none twice.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from avssl.annotation.annotation_file import JOURNAL
from avssl.annotation.edits import Change, parse_change
from avssl.errors import InputError, excerpt
from avssl.io.atomic import naming, sync
from avssl.regular_files import MIB, read_bytes

FORMAT, VERSION = "avssl-annotation-journal", 1
MAX_JOURNAL = 1024 * MIB
KINDS = ("edit", "undo", "redo")


class Edit(NamedTuple):
    """A line of the journal."""

    kind: str
    """edit, undo or redo."""
    id: str
    """Given by the page; a repeated message has the same."""
    change: Change


def journal_path(path: Path) -> Path:
    """The journal beside an annotation file."""
    return path.with_name(path.stem + JOURNAL)


def read_edits(path: Path, generation: int) -> list[Edit]:
    """Edits that an annotation file lacks, in order.

    A last line without its end was never confirmed to a page and is passed over.

    Args:
        path: the annotation file.
        generation: of that file.

    Raises:
        InputError: a whole line is broken, with its number.
        OSError: it cannot be read.
    """
    journal = journal_path(path)
    if not journal.exists():
        return []
    lines = read_bytes(journal, "a journal of edits", MAX_JOURNAL).split(b"\n")[:-1]
    if not lines or _generation(journal, lines[0]) < generation:
        return []
    return [_edit(line, f"{journal}, line {number}") for number, line in enumerate(lines[1:], start=2)]


class EditJournal:
    """The journal of a running server, open for appending.

    Args:
        path: the annotation file.
        generation: of that file.
        empty: whether it holds nothing that counts, and is begun anew.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, generation: int, empty: bool) -> None:
        self.path = journal_path(path)
        with naming(self.path):
            self._file = self.path.open("w+b" if empty else "r+b", buffering=0)
            if empty:
                self._append({"format": FORMAT, "version": VERSION, "generation": generation})
                sync(self.path.parent)
            else:
                self._file.truncate(_whole(self._file.read()))
                self._file.seek(0, os.SEEK_END)

    def add(self, edit: Edit) -> None:
        """Append an edit; on return it is on the disk.

        Raises:
            OutputError: it cannot be written, and does not count.
        """
        self._append({"kind": edit.kind, "id": edit.id, "change": edit.change.to_json()})

    def close(self, remove: bool = False) -> None:
        """Close it; remove it where the annotation file holds its edits."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)

    def _append(self, note: dict[str, Any]) -> None:
        end, line = self._file.tell(), json.dumps(note).encode() + b"\n"
        with naming(self.path):
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(end)
                self._file.seek(end)
                raise


def _whole(content: bytes) -> int:
    """Bytes up to the end of the last whole line."""
    return content.rfind(b"\n") + 1


def _generation(journal: Path, line: bytes) -> int:
    try:
        note = json.loads(line)
        if (note["format"], note["version"]) == (FORMAT, VERSION):
            return int(note["generation"])
    except (LookupError, TypeError, ValueError, RecursionError):
        pass
    raise InputError(
        f"{journal}, line 1: expected a journal of edits (format {FORMAT!r}, version {VERSION}), got "
        f"{excerpt(line.decode(errors='replace'), 60)}; move it away to go on without its edits"
    )


def _edit(line: bytes, where: str) -> Edit:
    try:
        note = json.loads(line)
        kind, identifier = note["kind"], note["id"]
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: expected an edit, got {excerpt(line.decode(errors='replace'), 60)}") from error
    if kind not in KINDS or not isinstance(identifier, str):
        raise InputError(f"{where}: expected edit, undo or redo, and an 'id', got {excerpt(note, 60)}")
    return Edit(kind, identifier, parse_change(note.get("change"), where))
