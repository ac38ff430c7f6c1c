"""Embeddings of the windows of every segment, computed once and cached."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.datasets.dataset import Dataset, Recording
from avssl.embedding.batch_inference import tower_of
from avssl.embedding.cache import cached_embeddings
from avssl.models.embedder import Embedder

Rows = list[Tensor]
"""Of each example, the embeddings `(windows, width)` of its windows in order of time."""


def window_starts(example: Recording, window: float, hop: float) -> tuple[float, ...]:
    """Seconds at which the windows of a segment begin: all that lie in it wholly; one at least."""
    count = max(1, math.floor((example.seconds - window) / hop + 1e-6) + 1)
    return tuple(round(example.start + index * hop, 6) for index in range(count))


def sources(examples: Sequence[Recording], labelled: Dataset, tower: str, window: float, hop: float) -> list[Source]:
    """Each file once, with the windows of all its segments."""
    files: dict[str, set[float]] = {}
    for each in examples:
        files.setdefault(_file(each, tower), set()).update(window_starts(each, window, hop))
    return [Source(name, labelled.root / name, tuple(sorted(starts))) for name, starts in files.items()]


def embed_windows(
    embedder: Embedder, labelled: Dataset, reading: Reading, hop: float, precision: str, workers: int, title: str
) -> Rows:
    """Embeddings of all windows of a data set, read from the cache where they are there.

    Args:
        embedder: a frozen tower, or a baseline.
        labelled: segments of files.
        reading: how a window is read.
        hop: seconds between windows.
        precision: in which the tower runs.
        workers: loader processes.
        title: of the bar.

    Raises:
        InputError: a file cannot be read, or has channels that the features do not take.
    """
    tower = tower_of(embedder)
    files = sources(labelled.recordings, labelled, tower, reading.seconds, hop)
    found = cached_embeddings(embedder, files, reading, precision=precision, workers=workers, title=title)
    return by_segment(files, found, labelled.recordings, tower, reading.seconds, hop)


def by_segment(
    files: Sequence[Source],
    found: Sequence[Tensor],
    examples: Sequence[Recording],
    tower: str,
    window: float,
    hop: float,
) -> Rows:
    """Windows of files dealt out to the segments that they lie in."""
    rows = {source.key: (each, {start: row for row, start in enumerate(source.starts)}) for source, each in
            zip(files, found, strict=True)}  # fmt: skip
    dealt = []
    for example in examples:
        each, place = rows[_file(example, tower)]
        starts = window_starts(example, window, hop)
        first, last = place[starts[0]], place[starts[-1]]
        # A view, not a copy: frames of a whole data set are large.
        dealt.append(each[first : last + 1])
    return dealt


def _file(example: Recording, tower: str) -> str:
    return example.audio if tower == "audio" else example.video
