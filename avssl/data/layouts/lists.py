"""The lists of data sets: which clips there are, and how they are split; only the last part of a path counts."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from avssl.plugins import hint

SPLITS = ("train", "val", "test")
MOST = 10**7
"""Names in a list; a header that promises more is broken, and would fill the memory."""


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, the last one whether or not it is ended.

    Raises:
        ValueError: not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file with a line an id: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def table(path: Path) -> list[list[str]]:
    """The rows of a csv file that are not blank, fields without the space around them.

    Raises:
        ValueError: not UTF-8, or no csv.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[field.strip() for field in row] for row in csv.reader(file)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a csv file: {error}") from error
    return [row for row in rows if any(row)]


def h5_names(path: Path, key: str) -> list[str]:
    """The strings of a dataset of an h5 file.

    Args:
        path: the file.
        key: of the dataset: one dimension, byte strings or text.

    Raises:
        ValueError: no h5 file, or no such dataset in it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(key)
            strings = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "SO" and dataset.ndim == 1
            values = list(dataset[()]) if strings and dataset.size <= MOST else [None]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(f"{path}: expected an h5 file with a list of names, cannot be read: {reason}") from error
    if not all(isinstance(value, (bytes, str)) for value in values):
        raise ValueError(f"{path}: expected an h5 file with a list of names under {key!r}, there is none")
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def clip_name(path: str) -> str:
    """What a list means by a path, of whatever system: its last part without a suffix such as .wav."""
    return PurePosixPath(path.strip().replace("\\", "/")).stem


def splits_of(where: Path, named: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Clip -> split.

    Args:
        where: the lists, for the error.
        named: the clips of each split.

    Raises:
        ValueError: a clip is in two of them.
    """
    found: dict[str, str] = {}
    for split, names in named.items():
        shared = sorted(name for name in set(names) if name in found)
        if shared:
            raise ValueError(
                f"{where}: a clip is in one list, {shared[0]!r} is in {found[shared[0]]} and {split} "
                f"({len(shared)} such clips)"
            )
        found |= dict.fromkeys(names, split)
    return found


def sets_of_lists(base: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    """The folders with lists named train, val or test: in `base`, one below it, or two where the first says splits.

    Args:
        base: where to look.
        suffixes: such as .txt.

    Returns:
        Folder, relative to `base`, to its lists; `splits` first, then by name, split2 before split10.
    """
    near = _folders(base)
    far = [folder for each in near if "split" in each.name for folder in _folders(each)]
    found = {}
    for folder in sorted([base, *near, *far], key=lambda each: _order(each.relative_to(base))):
        lists = [path for split in SPLITS for path in sorted(folder.glob(f"{split}.*")) if path.suffix in suffixes]
        if lists:
            found[folder.relative_to(base).as_posix()] = lists
    return found


def choose(base: Path, sets: Mapping[str, Sequence[Path]], wanted: str) -> str:
    """The name of one of several sets of lists, the first where nothing is wanted, nothing where there are none.

    Args:
        base: the data set, for the errors.
        sets: as `sets_of_lists` gives them.
        wanted: a name, or its last part where that is enough.

    Raises:
        ValueError: no set has that name, or several have.
    """
    if not wanted:
        return next(iter(sets), "")
    fitting = [name for name in sets if wanted in (name, name.rpartition("/")[2])]
    fitting = [wanted] if wanted in fitting else fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ValueError(f"{base}: {wanted!r} may be {' or '.join(fitting)}: say which")
    near = hint(wanted, [*sets, *(name.rpartition("/")[2] for name in sets)])
    raise ValueError(f"{base}: no split lists named {wanted!r}{near}; {', '.join(sets) or 'there are none'}")


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _order(folder: Path) -> tuple[bool, list[tuple[str, int]]]:
    """`splits` before all others; numbers by their value."""
    parts = re.findall(r"(\D*)(\d*)", folder.as_posix())
    return not folder.as_posix().startswith("splits"), [(text, int(number or 0)) for text, number in parts]
