"""HMDB51 as its authors publish it (Kuehne et al. 2011), its archives unpacked, or as AVSA's scripts keep it.

`{class}/FILE.avi`, at the root or in a folder such as `videos`, and `{class}_test_splitN.txt` in the folder
`testTrainMulti_7030_splits` (AVSA: `ucfTrainTestlist`), lines "FILE.avi 1": 1 trains, 2 tests, 0 does neither. Names
have brackets, &, # and the like: they are never patterns.
"""

from __future__ import annotations

import re
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import FileListOptions, Layout
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import FLAT, Listed, Lists, lines, listed_dataset
from avssl.errors import InputError
from avssl.plugins import hint

LIST = re.compile(r"(?P<label>.+)_test_split(?P<number>\d+)")
PATTERN = "*_test_split[0-9]*.txt"
LINE = re.compile(r"(?P<name>.*\S)\s+(?P<code>\d+)")
INDEX = "classes.txt"
CODES = {"0": None, "1": 0, "2": 1}
"""Neither; the part to train on; the part to test."""


class Hmdb51(Layout):
    """HMDB51 (Kuehne 2011): ordinary video of 51 actions, three splits.

    Listed videos with class and film as group, and the official splits as folds split1 to split3.
    """

    projection = FLAT
    Options = FileListOptions
    options: FileListOptions

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Whether HMDB51's lists are where one of its copies has them."""
        return _places(root) is not None

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the lists and find the videos that they use, wherever below the folder they lie.

        Args:
            root: the folder with the videos and the lists, one that holds it as `data/hmdb`, `data/hmdb51`, `hmdb` or
                `hmdb51`, or the folder of the videos with that of the lists beside it.
            exclude: folder that is not searched.

        Raises:
            InputError: no lists, a line or code that cannot be read, a class that `classes.txt` lacks where there is
                one, or too many files are missing.
        """
        places = _places(root)
        if places is None:
            raise InputError(
                f"{root}: expected HMDB51's lists, testTrainMulti_7030_splits/CLASS_test_split1.txt; found none"
            )
        base, folder = places
        paths = [(path, match) for path in sorted(folder.glob(PATTERN)) if (match := LIST.fullmatch(path.stem))]
        classes = _classes((base / INDEX, folder / INDEX), sorted({match["label"] for _, match in paths}), folder)
        lists, missing = _lists(paths, classes, folder), self.options.missing
        return listed_dataset(set_name(base, "HMDB51"), base, classes, lists, missing, folder, exclude)


def _places(root: Path) -> tuple[Path, Path] | None:
    """The folder that holds the videos, and the one of the lists."""
    data = root / "data"
    for base in (root, data / "hmdb", data / "hmdb51", root / "hmdb", root / "hmdb51"):
        for depth in ("", "*/", "*/*/"):
            for path in sorted(base.glob(f"{depth}{PATTERN}")):
                return base, path.parent
    beside = sorted(root.absolute().parent.glob(f"test*split*/{PATTERN}")) if root.is_dir() else []
    return (root, beside[0].parent) if beside else None


def _classes(indices: tuple[Path, ...], listed: list[str], folder: Path) -> tuple[str, ...]:
    """The classes in the order of an index, which may be numbered, or by name where there is none."""
    path = next((each for each in indices if each.is_file()), None)
    if path is None:
        return tuple(listed)
    known = tuple(re.sub(r"^\d+\s+|\s+\d+$", "", line) for line in lines(path))
    unknown = [name for name in listed if name not in known]
    if unknown:
        raise InputError(f"{folder}: lists are of class {unknown[0]!r}, which {path} lacks{hint(unknown[0], known)}")
    return known


def _lists(paths: list[tuple[Path, re.Match[str]]], classes: tuple[str, ...], folder: Path) -> Lists:
    """Training and test videos of each split."""
    found: dict[str, tuple[list[Listed], list[Listed]]] = {}
    for number in sorted({int(match["number"]) for _, match in paths}):
        own = {match["label"]: path for path, match in paths if int(match["number"]) == number}
        lacking = [name for name in classes if name not in own]
        if lacking:
            raise InputError(
                f"{folder}: expected a list of every class, {lacking[0]}_test_split{number}.txt is missing"
            )
        parts: tuple[list[Listed], list[Listed]] = ([], [])
        for label in classes:
            for name, part in _listed(own[label]):
                parts[part].append(Listed(label, f"{label}/{name}", _film(label, name)))
        found[f"split{number}"] = parts
    return found


def _listed(path: Path) -> list[tuple[str, int]]:
    """Name and part of the videos that a list uses."""
    found = []
    for line in lines(path):
        parts = LINE.fullmatch(line)
        if not parts or parts["code"] not in CODES:
            raise InputError(f"{path}: expected lines 'FILE.avi CODE' with code 0, 1 or 2, got {line!r}")
        part = CODES[parts["code"]]
        if part is not None:
            found.append((parts["name"], part))
    return found


def _film(label: str, name: str) -> str:
    """Source of a video: its name up to that of the class; equal names in two classes are two sources."""
    stem, sign = Path(name).stem, f"_{label}_"
    return f"{label}/{stem[: stem.lower().rindex(sign.lower())] if sign.lower() in stem.lower() else stem}"
