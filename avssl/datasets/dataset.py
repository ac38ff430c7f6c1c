"""Dataset model: recordings with optional labels, splits and folds, as a layout reads them from disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.io.atomic import write_text
from avssl.regular_files import read_json

MAX_INDEX = 2**30
"""Bytes of a stored index."""
PROJECTIONS = ("auto", "equirect", "flat", "eac", "cubemap")
"""Projections of frames: unknown, 360 degrees, an ordinary field of view, or 360 degrees on cube faces."""


@dataclass(frozen=True)
class Recording:
    """One recording, or a segment of one: its files, and its label, group and split where the data set gives them."""

    key: str
    """Unique name in the data set; for `prepare` it is also a safe file name, unique whatever the case of letters."""
    video: str = ""
    """Video file, or folder of numbered frames, relative to the data set's root; empty: no video."""
    audio: str = ""
    """Audio file, or folder of numbered audio files, relative to the root; may equal `video`; empty: no audio."""
    start: float = 0.0
    """Seconds from the beginning of the files to the beginning of the segment."""
    seconds: float = 0.0
    """Length in seconds; 0: to the end of the file."""
    label: str = ""
    """One of the data set's classes; empty: unlabelled."""
    group: str = ""
    """Source recording or place; no group is in both training and test parts of a fold."""
    split: str = ""
    """train, val, test, or empty."""
    projection: str = "auto"
    """equirect, flat (ordinary field of view), eac or cubemap, or auto: by the file's header and the frame's shape."""
    channel_layout: str = "auto"
    """Channel layout, such as stereo, binaural or ambix; auto: decided by the number of channels and the codec."""
    min_difference_db: float = -math.inf
    """Lowest level of left minus right relative to left plus right, in dB; `prepare` rejects stereo below it."""
    frame_rate: float = 0.0
    """Frames per second of a folder of numbered frames."""
    problem: str = ""
    """Reason why the recording cannot be read, if the layout can tell already."""


@dataclass(frozen=True)
class Fold:
    """Training and test part of one train-test split."""

    name: str
    train: tuple[str, ...]
    """Keys of recordings."""
    test: tuple[str, ...]
    """Keys of recordings."""


@dataclass(frozen=True)
class Dataset:
    """Recordings of a data set; labelled ones come with classes and folds."""

    name: str
    """Title in results; a synthetic dataset's says so."""
    root: Path
    """Folder that the paths of recordings are relative to."""
    recordings: tuple[Recording, ...]
    classes: tuple[str, ...] = ()
    """Class names in the order of the data set's own index; empty: unlabelled."""
    folds: tuple[Fold, ...] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names that the data set's lists contain and the disk lacks: kind (files, clips, ids, sound, ...) -> names."""
    lists: str = ""
    """Chosen set of split lists, where there are several."""
    leakage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Set of split lists -> number of its test clips, and how many of them are in each other list."""

    @property
    def missing_names(self) -> tuple[str, ...]:
        """Missing names of all kinds."""
        return tuple(name for names in self.missing.values() for name in names)

    def save(self, path: Path) -> None:
        """Write the index as JSON, atomically."""
        write_text(path, json.dumps(asdict(self) | {"root": str(self.root)}, indent=0))

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """Read an index that `save` wrote.

        Raises:
            InputError: the file contains something else.
        """
        found: dict[str, Any] = read_json(path, "the index of a data set in JSON", MAX_INDEX)
        try:
            parts = {
                "root": Path(found["root"]),
                "recordings": tuple(Recording(**each) for each in found["recordings"]),
                "classes": tuple(found["classes"]),
                "folds": tuple(
                    Fold(each["name"], tuple(each["train"]), tuple(each["test"])) for each in found["folds"]
                ),
                "missing": {kind: tuple(names) for kind, names in found["missing"].items()},
            }
            return cls(**(found | parts))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected the index of a data set: {error!r}") from error


def check_missing(dataset: Dataset, share: float, lists: str) -> None:
    """Reject a data set that lacks too many of the files in its lists.

    Args:
        dataset: recordings on disk, and names without files.
        share: highest share of missing names, 0 to 1.
        lists: path or name of the lists, for the error.

    Raises:
        InputError: the share is exceeded.
    """
    missing = dataset.missing_names
    listed = len(dataset.recordings) + len(missing)
    if len(missing) > share * listed:
        enough = math.ceil(100 * len(missing) / listed) / 100
        raise InputError(
            f"{lists}: names {listed} files, {len(missing)} are missing below {dataset.root}, "
            f"the first is {missing[0]!r}; --missing {enough:.2f} would go on without them"
        )


def fold_by_groups(name: str, recordings: Sequence[Recording], tested: set[str]) -> Fold:
    """Fold that tests the recordings of some groups and trains on all others."""
    train = tuple(each.key for each in recordings if each.group not in tested)
    return Fold(name, train, tuple(each.key for each in recordings if each.group in tested))
