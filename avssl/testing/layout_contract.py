"""Contract check of dataset layouts."""

from __future__ import annotations

from collections import Counter
from dataclasses import is_dataclass
from pathlib import Path, PurePosixPath

from avssl.datasets.dataset import PROJECTIONS, Dataset, Recording
from avssl.datasets.layout import Layout

SPLITS = ("", "train", "val", "test")


def check_layout(layout: Layout, root: Path) -> Dataset:
    """Check a layout against the contract of `avssl.datasets.layout.Layout`.

    Reading twice gives the same recordings. Keys are unique and safe as file names, files exist below the root, labels
    are among the classes, and no recording or group is in both parts of a fold.

    Args:
        layout: layout with options.
        root: folder of this layout, with at least one recording.

    Returns:
        The dataset.

    Raises:
        AssertionError: a violation of the contract, with the recording or fold.
    """
    assert is_dataclass(layout.Options), f"expected a dataclass {type(layout).__name__}.Options, got {layout.Options!r}"
    assert layout.projection in PROJECTIONS, (
        f"expected a projection among {', '.join(PROJECTIONS)}, got {layout.projection!r}"
    )
    dataset = layout.read(root)
    assert isinstance(dataset, Dataset), f"expected a Dataset from read, got {type(dataset).__name__}"
    assert dataset == layout.read(root), (
        "expected the same dataset from two reads, got different ones; sort the files, seed random numbers"
    )
    assert dataset.recordings, (
        "expected recordings from read, got none; raise InputError for a folder without recordings"
    )
    keys = Counter(each.key.casefold() for each in dataset.recordings)
    twice = [key for key, times in keys.items() if times > 1]
    assert not twice, f"expected unique keys (ignoring case), got {twice[0]!r} twice; see avssl.datasets.recording_keys"
    for recording in dataset.recordings:
        _check_recording(recording, dataset)
    for fold in dataset.folds:
        _check_fold(dataset, fold.name, fold.train, fold.test)
    return dataset


def _check_recording(recording: Recording, dataset: Dataset) -> None:
    key = recording.key
    assert key, "expected a key for every recording, got an empty one"
    assert recording.video or recording.audio, f"recording {key!r}: expected video or audio, got neither"
    for path in filter(None, (recording.video, recording.audio)):
        relative = not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
        assert relative, f"recording {key!r}: expected a path relative to the root, got {path!r}"
        exists = recording.problem or (dataset.root / path).exists()
        assert exists, f"recording {key!r}: expected {path!r} below {dataset.root}, got none; list it in `missing`"
    assert recording.split in SPLITS, (
        f"recording {key!r}: expected split train, val, test or empty, got {recording.split!r}"
    )
    projection = recording.projection
    assert projection in PROJECTIONS, (
        f"recording {key!r}: expected projection {', '.join(PROJECTIONS)}, got {projection!r}"
    )
    known = not recording.label or recording.label in dataset.classes
    assert known, f"recording {key!r}: expected a label among {dataset.classes}, got {recording.label!r}"


def _check_fold(dataset: Dataset, name: str, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    groups = {each.key: each.group for each in dataset.recordings}
    unknown = [key for key in (*train, *test) if key not in groups]
    assert not unknown, f"fold {name!r}: expected keys of recordings, got {unknown[0]!r}"
    assert train, f"fold {name!r}: expected training recordings, got none"
    assert test, f"fold {name!r}: expected test recordings, got none"
    both = sorted(set(train) & set(test))
    assert not both, f"fold {name!r}: expected disjoint parts, got {both[0]!r} in both"
    shared = {groups[key] for key in train} & {groups[key] for key in test} - {""}
    assert not shared, f"fold {name!r}: expected groups in one part, got {min(shared)!r} in both"
