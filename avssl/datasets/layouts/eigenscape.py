"""EigenScape (Green and Murphy 2017): acoustic scenes of eight classes, eight recordings of ten minutes of each.

Recordings are `{Class}.{1..8}.wav` (the metadata write `{Class}-0N`), 25 channels of order 4 in ACN order with SN3D
gain at 48 kHz, in a folder a class or all in one. The first four channels are ambiX of order 1. Six and eight of the
class Park are exchanged between the set's raw and its ambisonic half (soundata #102, micarraylib #8).
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avssl.config import check_choice
from avssl.datasets.dataset import Dataset, Fold, Recording, check_missing, fold_by_groups
from avssl.datasets.layout import Layout
from avssl.datasets.layouts.files import walk
from avssl.datasets.layouts.synthetic import set_name
from avssl.errors import InputError, MissingFileError
from avssl.media.streams import AudioReader

logger = logging.getLogger(__name__)

NAME = "EigenScape"
CLASSES = (
    "Beach", "BusyStreet", "Park", "PedestrianZone", "QuietStreet", "ShoppingCentre", "TrainStation", "Woodland",
)  # fmt: skip
FOLDS = ("fixed", "leave-one-out", "seeded")
TESTED = 4
"""Folds of `fixed` and `seeded`."""
CHANNELS = 4
"""Number of channels of order 1, the first ones of any higher order."""
RATE = 48000
"""Hz of the official files."""
EXCHANGED = {("Park", 6): 8, ("Park", 8): 6}
_NAME = re.compile(r"([A-Za-z][A-Za-z ]*?)[.\-_ ]0*(\d+)\.(?:wav|flac)", re.IGNORECASE)


@dataclass(frozen=True)
class EigenScapeOptions:
    """Segments and folds of the recordings."""

    segment: float = 30.0
    """Seconds of a segment; a shorter recording is one segment, what is left at the end of a longer one is left out."""
    folds: str = "fixed"
    """fixed (recordings 1 and 2, 3 and 4, ...), leave-one-out (each recording number), or seeded (the original's: the
    numbers shuffled, a quarter tested at a time)."""
    seed: int = 0
    """Seed of the shuffle."""
    swap_park: bool = False
    """Take recording 6 of the class Park for 8, and 8 for 6."""
    missing: float = 0.0
    """So large a share of the recordings may be missing."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choice("folds", self.folds, FOLDS)
        if not self.segment > 0:
            raise InputError(f"segment is a length above 0 seconds, not {self.segment}")


class _File(NamedTuple):
    """One audio file."""

    path: Path
    label: str
    number: int

    @property
    def name(self) -> str:
        """As the metadata have it, but for the zero."""
        return f"{self.label}.{self.number}"


class EigenScape(Layout):
    """EigenScape (Green 2017): audio of eight acoustic scenes in fourth-order ambisonics.

    Segments of every recording, with class, recording as group, and folds by recording number.
    """

    Options = EigenScapeOptions
    options: EigenScapeOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Find the recordings by their names, cut them into segments, and assign folds; reads headers only.

        Logs if recordings have another sample rate than EigenScape's.

        Args:
            root: a folder with the recordings anywhere below it.
            exclude: folder that is not searched.

        Raises:
            FileNotFoundError: there is no such folder.
            InputError: no recordings, more missing than allowed, a class that EigenScape does not have, a recording
                that is there twice, has fewer than four channels or cannot be read, or too few recordings for folds.
        """
        options = self.options
        files = _files(root, options.swap_park, exclude)
        classes = tuple(each for each in CLASSES if any(one.label == each for one in files))
        whole = _whole(root, files, classes)
        check_missing(whole, options.missing, "EigenScape")
        if len(classes) < 2:
            raise InputError(f"{root}: recordings of {classes[0]} alone, there is nothing to tell apart")
        audio_files = [_opened(each.path) for each in files]
        _log_rates(root, audio_files)
        pairs = zip(whole.recordings, audio_files, strict=True)
        segments = tuple(part for each, audio in pairs for part in _segments(each, audio.seconds, options.segment))
        return replace(whole, recordings=segments, folds=_folds(segments, files, options))


def _log_rates(root: Path, audio_files: list[AudioReader]) -> None:
    if others := [each for each in audio_files if each.sample_rate != RATE]:
        first = f"{others[0].path.name}: {others[0].sample_rate} Hz"
        message = "%s: %d of %d recordings are not at %d Hz: they are resampled (%s)"
        logger.info(message, root, len(others), len(audio_files), RATE, first)


def _files(root: Path, swap_park: bool, exclude: Path | None) -> list[_File]:
    if not root.is_dir():
        raise MissingFileError(f"{root}: expected the folder of EigenScape, there is none")
    found: dict[str, _File] = {}
    for folder, _, names in walk(root, exclude):
        for parts in filter(None, map(_NAME.fullmatch, names)):
            path = folder / parts[0]
            label, number = _class(path, parts[1]), int(parts[2])
            if swap_park:
                number = EXCHANGED.get((label, number), number)
            one = _File(path, label, number)
            if one.name in found:
                raise InputError(f"{path}: recording {one.name} is there twice, as {found[one.name].path} too")
            found[one.name] = one
    if not found:
        raise InputError(f"{root}: no recording of EigenScape below it; they are named Beach.1.wav or Beach-01.wav")
    return sorted(found.values(), key=lambda each: (each.label, each.number))


def _class(path: Path, name: str) -> str:
    known = {each.lower(): each for each in CLASSES}
    plain = name.replace(" ", "").lower()
    check_choice(f"{path}: the class", known.get(plain, name), CLASSES)
    return known[plain]


def _whole(root: Path, files: list[_File], classes: tuple[str, ...]) -> Dataset:
    """Uncut recordings, and the missing ones: each number that is there of some class, of the others."""
    numbers = sorted({each.number for each in files})
    there = {each.name for each in files}
    names = [f"{label}.{number}" for label in CLASSES for number in numbers]
    paths = [each.path.relative_to(root).as_posix() for each in files]
    recordings = tuple(
        Recording(path, audio=path, label=each.label, group=each.name, channel_layout="ambix")
        for path, each in zip(paths, files, strict=True)
    )
    missing = tuple(name for name in names if name not in there)
    return Dataset(set_name(root, NAME), root, recordings, classes, missing={"recordings": missing})


def _opened(path: Path) -> AudioReader:
    audio = AudioReader(path)
    if audio.channels < CHANNELS:
        raise InputError(f"{path}: ambisonics of order 1 have {CHANNELS} channels, this has {audio.channels}")
    return audio


def _segments(whole: Recording, seconds: float, segment: float) -> list[Recording]:
    if seconds < segment:
        return [replace(whole, key=f"{whole.key}#0", seconds=seconds)]
    starts = (index * segment for index in range(math.floor(seconds / segment + 1e-6)))
    return [replace(whole, key=f"{whole.key}#{start:g}", start=start, seconds=segment) for start in starts]


def _folds(segments: tuple[Recording, ...], files: list[_File], options: EigenScapeOptions) -> tuple[Fold, ...]:
    """Recordings of one number are tested together, whatever their class."""
    numbers = sorted({each.number for each in files})
    if options.folds == "seeded":
        numbers = np.random.default_rng(options.seed).permutation(numbers).tolist()
    parts = np.array_split(numbers, len(numbers) if options.folds == "leave-one-out" else min(TESTED, len(numbers)))
    found = [_fold(place, set(part.tolist()), segments, files) for place, part in enumerate(parts, 1)]
    for fold in found:
        learnt = Counter(each.label for each in segments if each.key in set(fold.train))
        if untaught := {each.label for each in files} - learnt.keys():
            raise InputError(
                f"{files[0].path.parent}: {min(untaught)} has all its recordings in fold {fold.name}; "
                "each class needs recordings of two numbers at least"
            )
    return tuple(found)


def _fold(place: int, tested: set[int], segments: tuple[Recording, ...], files: list[_File]) -> Fold:
    return fold_by_groups(f"fold{place}", segments, {each.name for each in files if each.number in tested})
