"""Annotations of one annotator in a folder, with journal, undo and redo."""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from avssl.annotation.annotation_file import (
    FilmAnnotations,
    Films,
    annotation_path,
    read_annotation_file,
    write_annotation_file,
)
from avssl.annotation.edit_journal import Edit, EditJournal, journal_path, read_edits
from avssl.annotation.edits import Change, StaleEditError
from avssl.errors import OutputError
from avssl.io.folder_lock import file_lock
from avssl.io.hashing import sha256


def read_annotations_of(folder: Path, annotator: str) -> Films:
    """All annotations of an annotator: the file, and the edits of the journal that it lacks.

    Raises:
        InputError: file or journal is broken, or the name is none.
        OSError: they cannot be read.
    """
    path = annotation_path(folder, annotator)
    films, generation = read_annotation_file(path)
    for edit in read_edits(path, generation):
        edit.change.apply(films)
    return films


class AnnotationStore:
    """Annotations that a server changes; one process an annotator.

    Args:
        folder: of the films.
        annotator: name, part of the file's.

    Raises:
        InputError: on entering: file or journal is broken (neither is changed), or another process has them.
        OutputError: they cannot be written.
    """

    def __init__(self, folder: Path, annotator: str) -> None:
        self.folder, self.annotator = folder, annotator
        self.path = annotation_path(folder, annotator)
        self.films: Films = {}
        self._undo: list[Change] = []
        self._redo: list[Change] = []
        self._known: set[str] = set()
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.path.parent.mkdir(exist_ok=True)
            stack.enter_context(file_lock(self.path))
            self.films, self._generation = read_annotation_file(self.path)
            self._digest = self._sha256()
            edits = read_edits(self.path, self._generation)
            for edit in edits:
                self._remember(edit, edit.change.apply(self.films))
            self._journal = EditJournal(self.path, self._generation, empty=not edits)
            self._held = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._held:
            self.save()

    def save(self) -> None:
        """Write the annotation file and remove the journal; only before leaving.

        Raises:
            OutputError: the file cannot be written, or was changed by hand since it was read; the journal stays.
        """
        with self._guard:
            if self._known and self._sha256() != self._digest:
                self._journal.close()
                raise OutputError(
                    f"{self.path}: expected the file that was read at the start, it was changed since and is left "
                    f"as it is; the edits are in {journal_path(self.path).name} and are applied at the next start"
                )
            if self._known:
                write_annotation_file(self.path, self.films, self._generation + 1)
            self._journal.close(remove=True)

    def film(self, name: str) -> FilmAnnotations:
        """Annotations of a film, without any where it has none."""
        return self.films.get(name, FilmAnnotations())

    def edit(self, identifier: str, change: Change, expected: Change) -> None:
        """Apply a change once; on return it is on the disk.

        Args:
            identifier: of the edit; a second one of the same is not applied again.
            change: new values.
            expected: values that the page saw before.

        Raises:
            StaleEditError: the values are others now.
            OutputError: the journal cannot be written; nothing has changed.
        """
        with self._guard:
            if identifier in self._known or change.holds(self.films):
                return
            if not expected.holds(self.films):
                raise StaleEditError(change.film)
            self._commit(Edit("edit", identifier, change))

    def add(self, change: Change) -> None:
        """Apply a change whatever was there; one edit for undo."""
        with self._guard:
            self._commit(Edit("edit", secrets.token_hex(8), change))

    def undo(self, identifier: str = "") -> Change | None:
        """Take back the last edit that counts, once for an identifier; returns the change, None: there is none."""
        return self._step("undo", self._undo, identifier)

    def redo(self, identifier: str = "") -> Change | None:
        """Apply again what was taken back last, once for an identifier; returns the change, None: there is none."""
        return self._step("redo", self._redo, identifier)

    def _step(self, kind: str, stack: list[Change], identifier: str) -> Change | None:
        with self._guard:
            if not stack or identifier in self._known:
                return None
            change = stack[-1]
            self._commit(Edit(kind, identifier or secrets.token_hex(8), change))
            return change

    def _commit(self, edit: Edit) -> None:
        self._journal.add(edit)
        self._remember(edit, edit.change.apply(self.films))

    def _remember(self, edit: Edit, inverse: Change) -> None:
        """Keep undo and redo as they were before a restart."""
        self._known.add(edit.id)
        if edit.kind == "edit":
            self._redo.clear()
        elif taken := self._undo if edit.kind == "undo" else self._redo:
            taken.pop()
        (self._redo if edit.kind == "undo" else self._undo).append(inverse)

    def _sha256(self) -> str:
        return sha256(self.path) if self.path.exists() else ""
