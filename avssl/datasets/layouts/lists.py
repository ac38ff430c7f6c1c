"""The lists of data sets, as text, csv or h5: of the paths that they name only the last part counts."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath

from avssl.errors import InputError

MOST = 10**7
"""Names in a list; a header that promises more is broken, and would fill the memory."""


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, the last one whether or not it is ended.

    Raises:
        InputError: not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a text file with a line an id: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def table(path: Path, separator: str = ",") -> list[list[str]]:
    """The rows of a csv file that are not blank, fields without the space around them.

    Args:
        path: the file.
        separator: between fields.

    Raises:
        InputError: not UTF-8, or no csv.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[field.strip() for field in row] for row in csv.reader(file, delimiter=separator)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a csv file: {error}") from error
    return [row for row in rows if any(row)]


def h5_names(path: Path, key: str) -> list[str]:
    """The strings of a dataset of an h5 file.

    Args:
        path: the file.
        key: of the dataset: one dimension, byte strings or text.

    Raises:
        InputError: no h5 file, or no such dataset in it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(key)
            strings = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "SO" and dataset.ndim == 1
            values = list(dataset[()]) if strings and dataset.size <= MOST else [None]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise InputError(f"{path}: expected an h5 file with a list of names, cannot be read: {reason}") from error
    if not all(isinstance(value, (bytes, str)) for value in values):
        raise InputError(f"{path}: expected an h5 file with a list of names under {key!r}, there is none")
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def clip_name(path: str) -> str:
    """What a list means by a path, of whatever system: its last part without a suffix such as .wav."""
    return PurePosixPath(path.strip().replace("\\", "/")).stem
