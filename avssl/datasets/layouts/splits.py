"""How a data set is split: lists named train, val and test, in one set or in several to choose from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from avssl.errors import InputError
from avssl.plugins import hint

SPLITS = ("train", "val", "test")


def splits_of(where: Path, named: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Clip -> split.

    Args:
        where: the lists, for the error.
        named: the clips of each split.

    Raises:
        InputError: a clip is in two of them.
    """
    found: dict[str, str] = {}
    for split, names in named.items():
        shared = sorted(name for name in set(names) if name in found)
        if shared:
            raise InputError(
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


def choose(base: Path, sets: Collection[str], wanted: str) -> str:
    """The name of one of several sets of lists, the first where nothing is wanted, nothing where there are none.

    Args:
        base: the data set, for the errors.
        sets: their names.
        wanted: a name, or its last part where that is enough.

    Raises:
        InputError: no set has that name, or several have.
    """
    if not wanted:
        return next(iter(sets), "")
    fitting = [name for name in sets if wanted in (name, name.rpartition("/")[2])]
    fitting = [wanted] if wanted in fitting else fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(f"{base}: {wanted!r} may be {' or '.join(fitting)}: say which")
    near = hint(wanted, [*sets, *(name.rpartition("/")[2] for name in sets)])
    raise InputError(f"{base}: no split lists named {wanted!r}{near}; {', '.join(sets) or 'there are none'}")


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _order(folder: Path) -> tuple[bool, list[tuple[str, int]]]:
    """`splits` before all others; numbers by their value."""
    parts = re.findall(r"(\D*)(\d*)", folder.as_posix())
    return not folder.as_posix().startswith("splits"), [(text, int(number or 0)) for text, number in parts]
