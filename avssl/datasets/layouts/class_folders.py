"""User videos: one folder per class, below `train` and `test` where they are split already.

`CLASS/FILE`, or `CLASS/RECORDING/FILE`: videos of one recording are never both trained on and tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avssl.config import check_range
from avssl.datasets.dataset import Dataset, Fold, Recording, fold_by_groups
from avssl.datasets.layout import Layout
from avssl.datasets.layouts.files import VIDEO_SUFFIXES, walk
from avssl.datasets.layouts.synthetic import set_name
from avssl.errors import InputError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""The first that is there."""
SPLITS = 3
FLAT = "flat"


@dataclass(frozen=True)
class ClassFolderOptions:
    """Random splits of folders that are not split already."""

    test_share: float = 0.25
    """Share of each class's recordings that is tested; at least one recording, unless there is only one."""
    seed: int = 0
    """Seed of the three random folds split1 to split3."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_range("layout", "test_share", self.test_share, 0.0, 1.0)


class ClassFolders(Layout):
    """Your own ordinary videos: one folder a class, below train and test if they are split.

    Videos in one folder for each class; `train` and `test` above the classes give one fold, else three are drawn.
    """

    projection = FLAT
    Options = ClassFolderOptions
    options: ClassFolderOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Find the videos below the folder of each class, and split them.

        Args:
            root: holds the classes, or `train` and `test` (or `val`) with the same classes in each.
            exclude: folder that is not searched.

        Raises:
            InputError: no such folder, fewer than two classes, or a class that is tested and not trained on.
        """
        if not root.is_dir():
            raise InputError(f"{root}: expected a folder of classes, each a folder of videos; there is no such folder")
        names = {each.name.lower(): each.name for each in root.iterdir() if each.is_dir()}
        parts = [next((names[name] for name in known if name in names), "") for known in (TRAIN, TEST)]
        if all(parts):
            return _split_already(root, exclude, *parts)
        recordings = list(_recordings(root, "", exclude))
        classes, share, seed = _classes(root, recordings), self.options.test_share, self.options.seed
        numbers = range(1, SPLITS + 1)
        folds = tuple(_drawn(f"split{number}", recordings, share, (seed, number)) for number in numbers)
        return Dataset(set_name(root, root.resolve().name), root, tuple(recordings), classes, folds)


def _split_already(root: Path, exclude: Path | None, train: str, test: str) -> Dataset:
    training, tested = ([*_recordings(root, part, exclude)] for part in (train, test))
    classes = _classes(root / train, training)
    unknown = sorted({each.label for each in tested} - set(classes))
    if unknown or not tested:
        what = f"videos of class {unknown[0]!r}" if unknown else "no videos"
        raise InputError(f"{root / test}: expected videos of the classes in {root / train}, there are {what}")
    fold = Fold("split1", tuple(each.key for each in training), tuple(each.key for each in tested))
    return Dataset(set_name(root, root.resolve().name), root, (*training, *tested), classes, (fold,))


def _recordings(root: Path, part: str, exclude: Path | None) -> Iterator[Recording]:
    """The videos of the classes below `root / part`."""
    for label in sorted(each.name for each in (root / part).iterdir() if each.is_dir()):
        if label.startswith("."):
            continue
        top = root / part / label
        for folder, _, names in walk(top, exclude):
            for path in (folder / name for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES):
                key = path.relative_to(root).as_posix()
                inside = path.relative_to(top).parts
                group = f"{part}/{label}/{inside[0]}" if len(inside) > 1 else key
                yield Recording(key, key, label=label, group=group, projection=FLAT)


def _classes(folder: Path, recordings: list[Recording]) -> tuple[str, ...]:
    classes = tuple(sorted({each.label for each in recordings}))
    if len(classes) < 2:
        raise InputError(
            f"{folder}: expected two or more classes, each a folder of videos, found {', '.join(classes) or 'none'}"
        )
    return classes


def _drawn(name: str, recordings: list[Recording], share: float, seed: tuple[int, int]) -> Fold:
    """A fold that tests so many recordings of each class."""
    rng = np.random.default_rng(seed)
    tested: set[str] = set()
    for label in sorted({each.label for each in recordings}):
        groups = sorted({each.group for each in recordings if each.label == label})
        count = min(max(1, round(share * len(groups))), len(groups) - 1)
        tested |= {groups[place] for place in rng.permutation(len(groups))[:count]}
    return fold_by_groups(name, recordings, tested)
