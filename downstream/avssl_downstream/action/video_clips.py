"""Labelled videos of the chosen data set, and start times of clips in them."""

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
from avssl.io.cache_folder import cache_folder, require_cache
from avssl.io.folder_lock import folder_lock
from avssl_downstream.action.options import AUTO, ActionOptions

HMDB51_TRAIN_CLIPS = 10
"""Clips of a training video of HMDB51, which has fewer videos."""
TRAIN_CLIPS = 5
"""Clips of a training video of other data sets."""
DETECTED_LAYOUTS = ("ucf101", "hmdb51")
"""Layouts that `layout=auto` detects; other folders are read as one a class."""
LAYOUT_OPTIONS = ("missing", "test_share", "seed")
"""Options of the head that are passed on to its layout."""
END_MARGIN = 1e-3
"""Smallest distance in seconds from the start of the last window to the end of the video."""


def read_dataset(options: ActionOptions) -> Dataset:
    """Read the data set of the options with the chosen folds; without a root, the synthetic actions.

    Raises:
        InputError: see the layouts; or no such split.
    """
    root = Path(options.root) if options.root else _synthetic_dataset_folder(options)
    settings = {name: getattr(options, name) for name in ("layout", "missing", "test_share", "seed")}
    dataset = cached_dataset(root, {"head": "action", **settings}, lambda: _read(root, options))
    if not options.split:
        return dataset
    names = [fold.name for fold in dataset.folds]
    if f"split{options.split}" not in names:
        raise InputError(f"{root}: expected split{options.split}, got {', '.join(names)}; split=0 takes all")
    return replace(dataset, folds=(dataset.folds[names.index(f"split{options.split}")],))


def clips_per_training_video(options: ActionOptions, dataset: Dataset) -> int:
    """Number of clips of a training video."""
    return options.train_clips or (HMDB51_TRAIN_CLIPS if "HMDB51" in dataset.name else TRAIN_CLIPS)


def evenly_spaced_clips(
    dataset: Dataset, recordings: Sequence[Recording], reading: Reading, clips: int, workers: int
) -> list[Source]:
    """Videos with `clips` windows each, evenly spaced from beginning to end.

    Raises:
        InputError: a video is broken.
        FileNotFoundError: a video does not exist and its duration is not cached.
    """
    last_starts = last_clip_starts(dataset, recordings, reading, workers)
    return [
        Source(each.key, dataset.root / each.video, tuple(np.linspace(0, last, clips).round(6).tolist()))
        for each, last in zip(recordings, last_starts, strict=True)
    ]


def last_clip_starts(dataset: Dataset, recordings: Sequence[Recording], reading: Reading, workers: int) -> list[float]:
    """Start time in seconds of the last window of each video; 0 if the video is shorter than a window."""
    seconds = cached_durations([dataset.root / each.video for each in recordings], "video", workers=workers)
    window = max(END_MARGIN, reading.frames / reading.frame_rate)
    return [max(0.0, each - window) for each in seconds]


def _read(root: Path, options: ActionOptions) -> Dataset:
    kind = _layout(root, options.layout)
    own = keys(kind.Options)
    dataset = kind(kind.Options(**{name: getattr(options, name) for name in LAYOUT_OPTIONS if name in own})).read(root)
    if unlabelled := [each.key for each in dataset.recordings if not (each.label and each.video)]:
        raise InputError(f"{root}: action expects labelled videos, got {unlabelled[0]!r}; choose another layout")
    if not dataset.folds:
        raise InputError(f"{root}: action expects folds with training and test parts, the layout has none")
    return dataset


def _layout(root: Path, name: str) -> type[Layout]:
    """Layout class by name; `auto`: the first that matches the folder."""
    if name != AUTO:
        return load_layout(name)
    return next((kind for kind in map(load_layout, DETECTED_LAYOUTS) if kind.matches(root)), load_layout("folders"))


def _synthetic_dataset_folder(options: ActionOptions) -> Path:
    """Folder of the synthetic actions, rendered on first use."""
    from avssl.synth.actions.actions_dataset import VERSION, actions

    layout = "hmdb51" if options.layout == "hmdb51" else "ucf101"
    out = cache_folder() / f"actions-{VERSION}-{layout}-{options.groups}groups-seed{options.synthetic_seed}"
    if load_layout(layout).matches(out):
        return out  # complete: lists are written last
    with folder_lock(require_cache(out), wait=True):  # another head may be rendering the same
        return actions(out, layout, groups=options.groups, seed=options.synthetic_seed)
