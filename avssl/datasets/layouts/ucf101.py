"""UCF101 as its authors publish it (Soomro et al. 2012), or as AVSA's scripts keep it.

`UCF-101/{Class}/v_{Class}_gXX_cYY.avi` (AVSA: `data/...`) and `ucfTrainTestlist/`: `classInd.txt`, lines "1 Class";
`trainlist0N.txt`, lines "Class/file.avi 1"; `testlist0N.txt`, lines "Class/file.avi". The class HandstandPushups has
files spelled HandStandPushups: the case of letters does not count.
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

LISTS = "ucfTrainTestlist"
INDEX = "classInd.txt"
LINE = re.compile(r"(?P<path>.+?\.\w+)(?:\s+(?P<number>\d+))?")
CLIP = re.compile(r"(?P<group>v_(?P<label>.+)_g\d+)_c\d+", re.IGNORECASE)


class Ucf101(Layout):
    """UCF101 (Soomro 2012): ordinary video of 101 actions, three splits.

    Listed videos with class and group, and the three official splits as folds split1 to split3.
    """

    projection = FLAT
    Options = FileListOptions
    options: FileListOptions

    @classmethod
    def matches(cls, root: Path) -> bool:
        """Whether UCF101's index of classes is where one of its copies has it."""
        return _places(root) is not None

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the lists and find their videos, wherever below the folder they lie.

        Args:
            root: the folder with `UCF-101` and `ucfTrainTestlist`, one that holds it as `data/ucf101` or `ucf101`, or
                `UCF-101` itself with the lists in or beside it.
            exclude: folder that is not searched.

        Raises:
            InputError: no lists, a line that cannot be read, a class that the index lacks, or too many files are
                missing.
        """
        places = _places(root)
        if places is None:
            raise InputError(f"{root}: expected UCF101's {LISTS}/{INDEX}, here or in data/ucf101; found none")
        base, folder = places
        classes = _classes(folder / INDEX)
        lists, missing = _lists(folder, classes), self.options.missing
        return listed_dataset(set_name(base, "UCF101"), base, classes, lists, missing, folder, exclude)


def _places(root: Path) -> tuple[Path, Path] | None:
    """The folder that holds the videos, and the one of the lists."""
    for base in (root, root / "data" / "ucf101", root / "ucf101"):
        for index in (base / LISTS / INDEX, base / INDEX, *sorted(base.glob(f"*/{INDEX}"))):
            if index.is_file():
                return base, index.parent
    beside = root.absolute().parent / LISTS
    return (root, beside) if root.is_dir() and (beside / INDEX).is_file() else None


def _classes(path: Path) -> tuple[str, ...]:
    """The classes in the order of their numbers, which begin at 1."""
    found: dict[int, str] = {}
    for line in lines(path):
        number, _, name = line.partition(" ")
        if not number.isdecimal() or not name.strip() or int(number) in found:
            raise InputError(f"{path}: expected lines 'NUMBER CLASS', each number once, got {line!r}")
        found[int(number)] = name.strip()
    if sorted(found) != list(range(1, len(found) + 1)) or not found:
        raise InputError(f"{path}: expected the numbers 1 to {len(found)}, got {sorted(found)[:5]}")
    return tuple(found[number] for number in sorted(found))


def _lists(folder: Path, classes: tuple[str, ...]) -> Lists:
    """Training and test videos of each split."""
    trains = {path.stem.removeprefix("trainlist"): path for path in sorted(folder.glob("trainlist*.txt"))}
    found = {}
    for number, train in trains.items():
        test = folder / f"testlist{number}.txt"
        if not test.is_file():
            raise InputError(f"{test}: expected the list that belongs to {train.name}, there is none")
        name = f"split{int(number) if number.isdecimal() else number}"
        found[name] = ([*_listed(train, classes)], [*_listed(test, classes)])
    if not found:
        raise InputError(f"{folder}: expected trainlist01.txt and testlist01.txt, found no list")
    return found


def _listed(path: Path, classes: tuple[str, ...]) -> list[Listed]:
    """The lines of a list; where one says a number, it is that of the class that its folder says."""
    known = {name.casefold(): name for name in classes}
    found = []
    for line in lines(path):
        parts = LINE.fullmatch(line.replace("\\", "/"))
        if not parts:
            raise InputError(f"{path}: expected lines 'Class/file.avi' or 'Class/file.avi NUMBER', got {line!r}")
        above, _, name = parts["path"].rpartition("/")
        clip = CLIP.fullmatch(Path(name).stem)
        said = above.rpartition("/")[2] or (clip["label"] if clip else "")
        label = known.get(said.casefold())
        if label is None:
            raise InputError(f"{path}: {line!r} is of class {said!r}, which {INDEX} lacks{hint(said, classes)}")
        if parts["number"] and int(parts["number"]) != classes.index(label) + 1:
            raise InputError(f"{path}: {line!r}: {INDEX} gives class {label} the number {classes.index(label) + 1}")
        found.append(Listed(label, parts["path"], clip["group"].casefold() if clip else name))
    return found
