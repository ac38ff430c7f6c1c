"""Resumable journal as JSON lines: the settings first, then entries by key; safe from cut-off lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from avssl.io.atomic import naming
from avssl.io.settings import require_same
from avssl.regular_files import check_regular, check_size

MAX_JOURNAL = 2**30
"""Bytes of a journal."""
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
        parse: an entry as it is used, from a line's object; LookupError, TypeError or ValueError refuse it.
        advice: what to do about a journal of other settings, for the error.

    Raises:
        InputError: on entering, the entries belong to other settings, no regular file is there, or it is larger than
            `MAX_JOURNAL`.
        OSError: the file cannot be written.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], parse: Callable[[Entry], Entry], *, advice: str
    ) -> None:
        self.path, self.settings, self.parse = path, dict(settings), parse
        self.advice = advice
        self.entries: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        if self.path.exists():
            _check(self.path)
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
        written, self.entries, last = _contents(self._file, self.parse)
        if written is None or not self.entries:
            self.entries = {}
            self._file.truncate(0)
            self._write({HEADER: self.settings})
            return
        require_same(self.path, written, json.loads(json.dumps(self.settings)), self.advice)
        if not last.endswith("\n"):  # a line that a crash cut short must not spoil the next one
            self._file.write("\n")
            self._file.flush()

    def _write(self, line: Entry) -> None:
        with naming(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def read_journal(path: Path, parse: Callable[[Entry], Entry]) -> tuple[dict[str, Any] | None, dict[str, Entry]]:
    """Settings that a journal was begun with, and its entries by key; None and {} where there is no readable header.

    Args:
        path: the file, which need not exist.
        parse: see `JsonlJournal`.

    Raises:
        InputError: no regular file is there, or a larger one than any journal.
    """
    if not path.exists():
        return None, {}
    _check(path)
    with path.open(encoding="utf-8", errors="replace") as file:
        written, entries, _ = _contents(file, parse)
    return written, entries if written is not None else {}


def _check(path: Path) -> None:
    check_size(path, check_regular(path, "a journal").st_size, "a journal", MAX_JOURNAL)


def _contents(file: IO[str], parse: Callable[[Entry], Entry]) -> tuple[dict[str, Any] | None, dict[str, Entry], str]:
    """Settings of the first line, entries of the others, and the last line."""
    last = file.readline()
    written, found = _header(last), {}
    for last in file:
        try:
            entry = parse(json.loads(last))
            found[entry[KEY]] = entry
        except (LookupError, TypeError, ValueError, RecursionError):
            continue
    return written, found, last


def _header(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)[HEADER]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
