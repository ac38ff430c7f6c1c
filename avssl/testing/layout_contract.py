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
    assert is_dataclass(layout.Options), f"{type(layout).__name__}.Options is a dataclass, not {layout.Options!r}"
    assert layout.projection in PROJECTIONS, f"projection is {', '.join(PROJECTIONS)}, not {layout.projection!r}"
    found = layout.read(root)
    assert isinstance(found, Dataset), f"read returns a Dataset, not {type(found).__name__}"
    assert found == layout.read(root), "read twice gave different data sets; sort the files, seed random draws"
    assert found.recordings, "expected recordings from read, got none; raise InputError for a folder without recordings"
    keys = Counter(each.key.casefold() for each in found.recordings)
    twice = [key for key, times in keys.items() if times > 1]
    assert not twice, f"key {twice[0]!r} is there twice, letter case aside; see avssl.datasets.recording_keys"
    for recording in found.recordings:
        _check_recording(recording, found)
    for fold in found.folds:
        _check_fold(found, fold.name, fold.train, fold.test)
    return found


def _check_recording(recording: Recording, found: Dataset) -> None:
    key = recording.key
    assert key, "a recording has no key"
    assert recording.video or recording.audio, f"recording {key!r} has neither video nor audio"
    for path in filter(None, (recording.video, recording.audio)):
        plain = not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
        assert plain, f"recording {key!r}: paths are relative to the root, {path!r} is not"
        there = recording.problem or (found.root / path).exists()
        assert there, f"recording {key!r}: {path!r} does not exist below {found.root}; list it in `missing`"
    assert recording.split in SPLITS, f"recording {key!r}: split is train, val, test or empty, not {recording.split!r}"
    projection = recording.projection
    assert projection in PROJECTIONS, f"recording {key!r}: projection is {', '.join(PROJECTIONS)}, not {projection!r}"
    known = not recording.label or recording.label in found.classes
    assert known, f"recording {key!r}: label {recording.label!r} is not among the classes {found.classes}"


def _check_fold(found: Dataset, name: str, train: tuple[str, ...], test: tuple[str, ...]) -> None:
    groups = {each.key: each.group for each in found.recordings}
    unknown = [key for key in (*train, *test) if key not in groups]
    assert not unknown, f"fold {name!r} names {unknown[0]!r}, which is no recording's key"
    assert train, f"fold {name!r} has nothing to train on"
    assert test, f"fold {name!r} has nothing to test"
    both = sorted(set(train) & set(test))
    assert not both, f"fold {name!r} trains on {both[0]!r}, which it tests"
    shared = {groups[key] for key in train} & {groups[key] for key in test} - {""}
    assert not shared, f"fold {name!r}: group {min(shared)!r} is in both parts"
