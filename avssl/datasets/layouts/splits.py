"""Splits of a data set: lists named train, val and test, in one set or several, and the overlap between them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from avssl.errors import InputError
from avssl.plugins import hint

SPLITS = ("train", "val", "test")
Named = Mapping[str, Collection[str]]
TEST = "test"


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


def leakage(sets: Mapping[str, Named], others: Named) -> dict[str, dict[str, int]]:
    """How many test clips of each set of lists stand in its other lists, in further ones, and in other sets' tests.

    PseudoBinaural trains on one list of mono sources for all of its five splits of FAIR-Play, which holds 123 to 147 of
    the 187 test clips of each; and its five test sets overlap.

    Args:
        sets: set -> train, val, test -> clips.
        others: further lists, such as of mono sources, -> clips.

    Returns:
        Set -> `test`, their number; list -> how many of them it holds; `other tests`, how many another set tests too.
    """
    tests = {name: set(lists[TEST]) for name, lists in sets.items() if TEST in lists}
    found = {}
    for name, tested in tests.items():
        lists = {f"{name}/{part}": clips for part, clips in sets[name].items() if part != TEST}
        shared = {each: len(tested.intersection(clips)) for each, clips in {**lists, **others}.items()}
        elsewhere = set().union(*(clips for other, clips in tests.items() if other != name))
        found[name] = {TEST: len(tested)} | shared | {"other tests": len(tested & elsewhere)}
    return found


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _order(folder: Path) -> tuple[bool, list[tuple[str, int]]]:
    """`splits` before all others; numbers by their value."""
    parts = re.findall(r"(\D*)(\d*)", folder.as_posix())
    return not folder.as_posix().startswith("splits"), [(text, int(number or 0)) for text, number in parts]
