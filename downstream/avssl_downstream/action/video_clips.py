"""The videos that are learned from and tested, and where in them clips lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avssl.config import keys
from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layout import Layout, load_layout
from avssl.embedding.dataset_cache import cached_dataset
from avssl.embedding.duration_cache import cached_durations
from avssl.errors import InputError
from avssl.io.cache_folder import cache_folder
from avssl_downstream.action.options import AUTO, ActionOptions

MANY = 10
"""Clips of a training video of HMDB51, whose videos are few."""
FEW = 5
RECOGNISED = ("ucf101", "hmdb51")
"""Layouts that are recognised where none is named; other folders are read as one a class."""
LAYOUT_OPTIONS = ("missing", "test_share", "seed")
"""Options of the head that fill those of its layout."""
SLACK = 1e-3
"""Seconds before the end of a video that the last window begins, at least."""


def read_labelled(options: ActionOptions) -> Dataset:
    """The data set that the options name, with the folds that are asked for; the built-in actions where none is.

    Raises:
        InputError: see the readers; or there is no such split.
    """
    root = Path(options.root) if options.root else _stand_in(options)
    settings = {name: getattr(options, name) for name in ("layout", "missing", "test_share", "seed")}
    found = cached_dataset(root, {"head": "action", **settings}, lambda: _read(root, options))
    if not options.split:
        return found
    names = [fold.name for fold in found.folds]
    if f"split{options.split}" not in names:
        raise InputError(f"{root}: has {', '.join(names)}, not split{options.split}; split=0 takes all")
    return replace(found, folds=(found.folds[names.index(f"split{options.split}")],))


def clips_to_train(options: ActionOptions, labelled: Dataset) -> int:
    """Clips of a training video."""
    return options.train_clips or (MANY if "HMDB51" in labelled.name else FEW)


def spread(
    labelled: Dataset, examples: Sequence[Recording], reading: Reading, clips: int, workers: int
) -> list[Source]:
    """Videos with so many windows each, the first at the beginning, the last at the end, the others evenly between.

    Raises:
        InputError: a video is broken.
        FileNotFoundError: one is gone, and its length is not known from before.
    """
    ends = latest(labelled, examples, reading, workers)
    return [
        Source(each.key, labelled.root / each.video, tuple(np.linspace(0, end, clips).round(6).tolist()))
        for each, end in zip(examples, ends, strict=True)
    ]


def latest(labelled: Dataset, examples: Sequence[Recording], reading: Reading, workers: int) -> list[float]:
    """Seconds at which the last window of each video begins; 0 where it is shorter than one."""
    seconds = cached_durations([labelled.root / each.video for each in examples], "video", workers=workers)
    window = max(SLACK, reading.frames / reading.frame_rate)
    return [max(0.0, each - window) for each in seconds]


def _read(root: Path, options: ActionOptions) -> Dataset:
    kind = _layout(root, options.layout)
    own = keys(kind.Options)
    found = kind(kind.Options(**{name: getattr(options, name) for name in LAYOUT_OPTIONS if name in own})).read(root)
    if unlabelled := [each.key for each in found.recordings if not (each.label and each.video)]:
        raise InputError(f"{root}: action expects labelled videos, {unlabelled[0]!r} is none; choose another layout")
    if not found.folds:
        raise InputError(f"{root}: action expects folds to train on and to test, the layout gives none")
    return found


def _layout(root: Path, name: str) -> type[Layout]:
    """The layout of that name; `auto`: the one that the folder has."""
    if name != AUTO:
        return load_layout(name)
    return next((kind for kind in map(load_layout, RECOGNISED) if kind.matches(root)), load_layout("folders"))


def _stand_in(options: ActionOptions) -> Path:
    """The folder of the built-in actions, made when they are asked for first."""
    from avssl.synth.actions.actions_dataset import VERSION, actions

    layout = "hmdb51" if options.layout == "hmdb51" else "ucf101"
    out = cache_folder() / f"actions-{VERSION}-{layout}-{options.groups}groups-seed{options.synthetic_seed}"
    if load_layout(layout).matches(out):
        return out  # lists are written last
    return actions(out, layout, groups=options.groups, seed=options.synthetic_seed)
