"""Resumable journal as JSON lines: the settings first, then entries by key; safe from cut-off lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avssl.io.atomic import naming
from avssl.io.settings import require_same

HEADER = "settings"
KEY = "key"
Entry = dict[str, Any]


class JsonlJournal:
    """Journal of finished entries, one line each, so that a run can stop and continue.

    The last whole line of a key counts. Lines that a crash cut short or that `parse` refuses are passed over. A journal
    without a readable header, or without entries, is begun anew; without entries it is removed when it is closed. One
    process writes at a time: see `avssl.io.folder_lock`.

    Args:
        path: the file; its folder exists.
        settings: all that the entries depend on, as JSON keeps it; a journal with entries belongs to one choice.
        parse: an entry as it is used, from a line's object; KeyError, TypeError or ValueError refuse it.
        advice: what to do about a journal of other settings, for the error.

    Raises:
        InputError: on entering, the entries belong to other settings.
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], parse: Callable[[Entry], Entry], *, advice: str
    ) -> None:
        self.path, self.settings, self.parse = path, dict(settings), parse
        self.advice = advice
        self.entries: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        self._file = self.path.open("a+", encoding="utf-8", errors="replace")
        try:
            self._load()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with naming(self.path), self._file:
            if not self.entries:
                self.path.unlink(missing_ok=True)

    def add(self, entry: Entry) -> None:
        """Append an entry, which has a `key`; it counts once its line is whole.

        Raises:
            OSError: it cannot be written.
        """
        self._write(entry)
        self.entries[entry[KEY]] = entry

    def _load(self) -> None:
        self._file.seek(0)
        text = self._file.read()
        written, self.entries = _header(text), self._entries(text)
        if written is None or not self.entries:
            self.entries = {}
            self._file.truncate(0)
            self._write({HEADER: self.settings})
            return
        require_same(self.path, written, json.loads(json.dumps(self.settings)), self.advice)
        if not text.endswith("\n"):  # a line that a crash cut short must not spoil the next one
            self._file.write("\n")
            self._file.flush()

    def _entries(self, text: str) -> dict[str, Entry]:
        found = {}
        for line in text.splitlines()[1:]:
            try:
                entry = self.parse(json.loads(line))
                found[entry[KEY]] = entry
            except (KeyError, TypeError, ValueError):
                continue
        return found

    def _write(self, line: Entry) -> None:
        with naming(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def read_journal_settings(path: Path) -> dict[str, Any] | None:
    """Settings that a journal was begun with; None where there is no journal, or no readable header."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return _header(file.readline())
    except OSError:
        return None


def _header(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text.partition("\n")[0])[HEADER]
    except (KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None
