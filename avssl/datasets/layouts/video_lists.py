"""Lists of videos as text, csv or h5, and the files that they name, found by class and name below a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from avssl.datasets.dataset import Dataset, Fold, Recording, check_missing
from avssl.datasets.layouts.files import VIDEO_SUFFIXES, walk
from avssl.datasets.layouts.pair_files import FLAT as FLAT
from avssl.errors import InputError
from avssl.io.listed_names import check_inside
from avssl.regular_files import MIB, read_text

MAX_NAMES = 1_000_000
"""Names in a list; the largest data sets have as many clips."""
MAX_LIST = 64 * MIB
"""Bytes of a list."""
MAX_NAME = 4096
"""Characters of a name in an h5 list: the longest path."""
_TOGETHER = 64
"""Names of an h5 file that are read at a time: a file can store one long name and refer to it many times."""
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, the last one whether or not it is ended.

    Raises:
        InputError: no regular file, not UTF-8, or too large.
    """
    text = _text(path, "a text file with a line an id", _LINE_ENDS)
    return [line.strip() for line in text.splitlines() if line.strip()]


def table(path: Path, separator: str = ",") -> list[list[str]]:
    """The rows of a csv file that are not blank, fields without the space around them.

    Args:
        path: the file.
        separator: between fields.

    Raises:
        InputError: no regular file, not UTF-8, no csv, or too large.
    """
    text = StringIO(_text(path, "a csv file", _LINE_ENDS + separator, 10), newline="")
    try:
        rows = [[field.strip() for field in row] for row in csv.reader(text, delimiter=separator)]
    except csv.Error as error:
        raise InputError(f"{path}: expected a csv file: {error}") from error
    return [row for row in rows if any(row)]


def h5_names(path: Path, key: str) -> list[str]:
    """The strings of a dataset of an h5 file.

    Args:
        path: the file.
        key: of the dataset: one dimension, byte strings or text.

    Raises:
        InputError: no h5 file, no such dataset in it, names of another file, or too many.
    """
    from avssl.io.hdf5_file import find_variable, open_hdf5  # h5py takes a while

    with open_hdf5(path, "an h5 file with a list of names") as file:
        dataset = find_variable(path, file, key, MAX_NAMES)
        strings = dataset is not None and dataset.dtype.kind in "SO" and dataset.ndim == 1
        values = list(_values(path, dataset)) if strings else [None]
    if not all(isinstance(value, (bytes, str)) for value in values):
        raise InputError(f"{path}: expected an h5 file with a list of names under {key!r}, there is none")
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _text(path: Path, expected: str, separators: str, most: int = 1) -> str:
    """Text of a list with at most `most` times `MAX_NAMES` separators, each of which becomes an object."""
    text = read_text(path, expected, MAX_LIST, "utf-8-sig")
    if (count := sum(map(text.count, separators))) > most * MAX_NAMES:
        raise InputError(f"{path}: expected {expected} of {most * MAX_NAMES} entries at most, got {count}")
    return text


def _values(path: Path, dataset: Any) -> Iterator[Any]:
    for first in range(0, dataset.size, _TOGETHER):
        for value in dataset[first : first + _TOGETHER]:
            if isinstance(value, (bytes, str)) and len(value) > MAX_NAME:
                raise InputError(f"{path}: expected names of {MAX_NAME} characters at most, got {len(value)}")
            yield value


def clip_name(path: str) -> str:
    """Name that a path in a list stands for: its last part without a suffix such as .wav."""
    return PurePosixPath(path.strip().replace("\\", "/")).stem


@dataclass(frozen=True)
class Listed:
    """A line of a list."""

    label: str
    """One of the classes."""
    name: str
    """Name of the file, as in the list."""
    group: str
    """The recording that it was cut from."""


Lists = Mapping[str, tuple[Sequence[Listed], Sequence[Listed]]]
"""Name of a fold -> what it trains on, and what it tests."""


class Videos:
    """All videos below a folder.

    Converted ones are found, too: `a.mp4` where a list says `a.avi`.

    Args:
        root: where to look, linked folders included, hidden ones not.
        classes: names of folders that lie apart from one another.
        exclude: folder that is not searched.
    """

    def __init__(self, root: Path, classes: Sequence[str], exclude: Path | None = None) -> None:
        self.classes = {name.casefold() for name in classes}
        self._by_stem: dict[str, list[PurePosixPath]] = {}
        for folder, _, names in walk(root, exclude):
            below = PurePosixPath(folder.relative_to(root).as_posix())
            for path in (below / name for name in names):
                if path.suffix.lower() in VIDEO_SUFFIXES:
                    self._by_stem.setdefault(path.stem.casefold(), []).append(path)

    def find(self, listed: Listed) -> str:
        """The path of a video relative to the root; nothing where there is none.

        It lies in a folder named as its class, or else in one that is no class's.
        """
        name = PurePosixPath(listed.name)
        same = self._by_stem.get(name.stem.casefold(), [])
        own = [path for path in same if path.parent.name.casefold() == listed.label.casefold()]
        near = own or [path for path in same if path.parent.name.casefold() not in self.classes]
        best = min(near, key=lambda path: (path.name != name.name, path.suffix != name.suffix), default="")
        return str(best)


def listed_dataset(
    name: str, root: Path, classes: Sequence[str], lists: Lists, missing: float, where: Path, exclude: Path | None
) -> Dataset:
    """Dataset videos that lists name and the disk holds.

    Args:
        name: of the data set.
        root: the videos lie below it.
        classes: in their order.
        lists: of every fold.
        missing: highest share of the listed files that may be missing.
        where: the lists, for errors.
        exclude: folder that is not searched.

    Raises:
        InputError: a name leads out of the folder, more are missing, a fold has nothing to train on or to test, or
            trains on what it tests.
    """
    videos = Videos(root, classes, exclude)
    named = list(dict.fromkeys(each for parts in lists.values() for part in parts for each in part))
    check_inside((each.name for each in named), where)
    paths = {each: videos.find(each) for each in named}
    recordings = {
        each: Recording(path, path, label=each.label, group=each.group, projection=FLAT)
        for each, path in paths.items()
        if path
    }
    folds = tuple(
        Fold(
            fold, *(tuple(dict.fromkeys(recordings[each].key for each in part if each in recordings)) for part in parts)
        )
        for fold, parts in lists.items()
    )
    unique = tuple({each.key: each for each in recordings.values()}.values())
    absent = tuple(sorted(each.name for each, path in paths.items() if not path))
    found = Dataset(name, root, unique, tuple(classes), folds, {"files": absent})
    check_missing(found, missing, str(where))
    for fold in folds:
        _check(fold, where, root)
    return found


def _check(fold: Fold, where: Path, root: Path) -> None:
    both = sorted(set(fold.train) & set(fold.test))
    if both:
        raise InputError(f"{where}: {fold.name} trains on {len(both)} videos that it tests, such as {both[0]!r}")
    for part in ("train", "test"):
        if not getattr(fold, part):
            raise InputError(f"{where}: of {fold.name}'s videos to {part}, none is below {root}")
