"""Any videos of one's own: a folder a class, below `train` and `test` where they are split already.

`CLASS/FILE`, or `CLASS/RECORDING/FILE`: videos of one recording are never both trained on and tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avssl.datasets.labelled_dataset import Example, Fold, Labelled, by_groups
from avssl.datasets.layouts.files import VIDEO_SUFFIXES, walk
from avssl.datasets.layouts.synthetic import set_name
from avssl.errors import InputError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""The first that is there."""
SPLITS = 3


def find(root: Path, test_share: float = 0.25, seed: int = 0) -> Labelled:
    """Every video below a folder of a class.

    Args:
        root: holds the classes, or `train` and `test` (or `val`) with the same classes in each.
        test_share: of each class's recordings that are tested, where the folders do not say; at least one, unless
            there is but one.
        seed: draws them, three times: folds split1 to split3. Folders that are split give one fold.

    Raises:
        InputError: no such folder, fewer than two classes, or a class that is tested and not trained on.
    """
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of classes, each a folder of videos; there is no such folder")
    names = {each.name.lower(): each.name for each in root.iterdir() if each.is_dir()}
    parts = [next((names[name] for name in known if name in names), "") for known in (TRAIN, TEST)]
    if all(parts):
        return _split_already(root, *parts)
    examples = list(_examples(root, ""))
    classes = _classes(root, examples)
    folds = tuple(_drawn(f"split{number}", examples, test_share, (seed, number)) for number in range(1, SPLITS + 1))
    return Labelled(set_name(root, root.resolve().name), root, classes, tuple(examples), folds)


def _split_already(root: Path, train: str, test: str) -> Labelled:
    training, tested = ([*_examples(root, part)] for part in (train, test))
    classes = _classes(root / train, training)
    unknown = sorted({each.label for each in tested} - set(classes))
    if unknown or not tested:
        what = f"videos of class {unknown[0]!r}" if unknown else "no videos"
        raise InputError(f"{root / test}: expected videos of the classes in {root / train}, there are {what}")
    fold = Fold("split1", tuple(each.key for each in training), tuple(each.key for each in tested))
    return Labelled(set_name(root, root.resolve().name), root, classes, (*training, *tested), (fold,))


def _examples(root: Path, part: str) -> Iterator[Example]:
    """The videos of the classes below `root / part`."""
    for label in sorted(each.name for each in (root / part).iterdir() if each.is_dir()):
        if label.startswith("."):
            continue
        top = root / part / label
        for folder, _, names in walk(top):
            for path in (folder / name for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES):
                key = path.relative_to(root).as_posix()
                inside = path.relative_to(top).parts
                group = f"{part}/{label}/{inside[0]}" if len(inside) > 1 else key
                yield Example(key, label, video=key, group=group)


def _classes(folder: Path, examples: list[Example]) -> tuple[str, ...]:
    classes = tuple(sorted({each.label for each in examples}))
    if len(classes) < 2:
        raise InputError(
            f"{folder}: expected two or more classes, each a folder of videos, found {', '.join(classes) or 'none'}"
        )
    return classes


def _drawn(name: str, examples: list[Example], share: float, seed: tuple[int, int]) -> Fold:
    """A fold that tests so many recordings of each class."""
    rng = np.random.default_rng(seed)
    tested: set[str] = set()
    for label in sorted({each.label for each in examples}):
        groups = sorted({each.group for each in examples if each.label == label})
        count = min(max(1, round(share * len(groups))), len(groups) - 1)
        tested |= {groups[place] for place in rng.permutation(len(groups))[:count]}
    return by_groups(name, examples, tested)
