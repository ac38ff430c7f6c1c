"""Lists of data sets on YouTube: ids of the videos, and their clips where the list names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from avssl.datasets.layouts.video_lists import lines, table
from avssl.errors import InputError
from avssl.regular_files import read_json

_ID = re.compile(r"[\w-]{11}", re.ASCII)


@dataclass(frozen=True)
class ListKind:
    """Form of the lists of a data set."""

    form: str
    """Line of the list, for messages."""
    read: Callable[[Path], Iterator[tuple[str, str]]]
    """Yields the id of each line, and the line."""
    spatial: bool = True
    """Whether the videos are 360-degree ones with ambisonics; else ordinary ones with stereo."""


def read_ids(path: Path, kind: str) -> list[str]:
    """Ids of the videos of a list, each once, in the order of the list.

    Args:
        path: the list.
        kind: one of `KINDS`.

    Raises:
        InputError: no regular file, a line of another form, or no ids.
    """
    form, found = KINDS[kind].form, dict[str, None]()
    for identity, line in KINDS[kind].read(path):
        if not _ID.fullmatch(identity):
            raise InputError(f"{path}: expected a list of {kind} ({form}), an id has 11 characters, got {line[:60]!r}")
        found[identity] = None
    if not found:
        raise InputError(f"{path}: expected a list of {kind} ({form}), got no ids")
    return list(found)


def _first_word(path: Path) -> Iterator[tuple[str, str]]:
    return ((line.split(maxsplit=1)[0], line) for line in lines(path))


def _before_start(path: Path) -> Iterator[tuple[str, str]]:
    """Id of `ID_START`; an id may contain `_`."""
    return ((line.rpartition("_")[0] if len(line) > 11 else line, line) for line in lines(path))


def _first_column(path: Path) -> Iterator[tuple[str, str]]:
    """Id of `ID,START,END` under a header."""
    return ((row[0], ",".join(row)) for row in table(path)[1:])


def _classes(path: Path) -> Iterator[tuple[str, str]]:
    """Ids of {"videos": {CLASS: [ID, ...]}}."""
    try:
        videos = read_json(path, "a list of MUSIC in JSON")["videos"]
        return iter([(str(each), str(each)) for ids in videos.values() for each in ids])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: expected a list of music ({{"videos": {{CLASS: [ID, ...]}}}})') from error


KINDS = {
    "yt360": ListKind("'ID' or 'ID T1,T2,...' a line, such as train.txt or segments.txt", _first_word),
    "sphere360": ListKind("'ID_START' a line", _before_start),
    "rec-street": ListKind("'ID' a line, such as REC-Street.lst", _first_word),
    "youtube-asmr": ListKind("a header, then 'ID,START,END' a line", _first_column, spatial=False),
    "music": ListKind('{"videos": {CLASS: [ID, ...]}}', _classes, spatial=False),
    "ids": ListKind("'ID' a line, of 360-degree videos", _first_word),
}
"""Data set -> form of its lists."""
