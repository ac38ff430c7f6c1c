"""The lists of Morgado et al. 2018: which ids each data set has, how they are split, and what YouTube gave."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avssl.datasets.layouts.splits import choose, splits_of
from avssl.datasets.layouts.video_lists import lines
from avssl.errors import InputError

PART = re.compile(r"(?P<name>.+)\.(?P<split>train|test)\.(?P<number>\d+)\.lst")
FORMATS = "video_formats.txt"


@dataclass(frozen=True)
class Lists:
    """Content of one pair of lists."""

    name: str = ""
    """Such as YT-All.1; empty where there are none."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Id -> train or test."""
    ids: Collection[str] = ()
    """All of the data set, in the pair or not."""


def read_lists(root: Path, wanted: str, here: Collection[str]) -> Lists:
    """One pair of lists, `{name}.train.{number}.lst` and `{name}.test.{number}.lst`, with `{name}.lst`.

    Args:
        root: the folder that they lie in, up to two folders down.
        wanted: such as YT-Clean.2; nothing: the first pair that names one of `here`.
        here: the ids of which there are files.

    Raises:
        InputError: no such pair, a list that cannot be read, or an id in both.
    """
    paths = _files(root, "*.lst")
    sets = _sets(paths)
    name = choose(root, sets, wanted) if wanted else _first(sets, here)
    splits = splits_of(root / name, sets.get(name, {}))
    whole = f"{name.rpartition('.')[0]}.lst"
    return Lists(name, splits, {*splits, *(each for path in paths if path.name == whole for each in lines(path))})


def read_formats(root: Path) -> dict[str, str]:
    """Id -> such as `MONO ER` or `STEREO EAC`, from the lines `ID ITAG MONO ER` of `video_formats.txt`.

    Raises:
        InputError: a line of another form.
    """
    found: dict[str, str] = {}
    for path in _files(root, FORMATS):
        for line in lines(path):
            identity, *format_ = line.split()
            if len(format_) != 3 or format_[1] not in ("MONO", "STEREO"):
                raise InputError(f"{path}: expected lines 'ID ITAG MONO|STEREO EAC|ER', this is {line[:60]!r}")
            found[identity] = " ".join(format_[1:])
    return found


def _sets(paths: Collection[Path]) -> dict[str, dict[str, list[str]]]:
    """Name of a pair -> split -> ids; by data set, then by number."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for path in paths:
        if match := PART.fullmatch(path.name):
            found.setdefault((match["name"], int(match["number"])), {})[match["split"]] = lines(path)
    return {f"{name}.{number}": found[name, number] for name, number in sorted(found)}


def _first(sets: Mapping[str, Mapping[str, list[str]]], here: Collection[str]) -> str:
    known = (name for name, named in sets.items() if any(set(here).intersection(ids) for ids in named.values()))
    return next(known, next(iter(sets), ""))


def _files(root: Path, pattern: str) -> list[Path]:
    """Files up to two folders down; of each name the one nearest to the root."""
    found = [path for depth in ("*/*/", "*/", "") for path in sorted(root.glob(depth + pattern), reverse=True)]
    return list({path.name: path for path in found}.values())
