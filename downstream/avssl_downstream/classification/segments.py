"""Cached embeddings of the windows of every segment."""

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

SegmentEmbeddings = list[Tensor]
"""Embeddings `(windows, width)` of each segment's windows, in order of time."""


def window_starts(segment: Recording, window: float, hop: float) -> tuple[float, ...]:
    """Start times in seconds of the windows that lie entirely in a segment; at least one."""
    count = max(1, math.floor((segment.seconds - window) / hop + 1e-6) + 1)
    return tuple(round(segment.start + index * hop, 6) for index in range(count))


def window_sources(
    segments: Sequence[Recording], dataset: Dataset, tower: str, window: float, hop: float
) -> list[Source]:
    """Files with the start times of the windows of all their segments; each file once."""
    files: dict[str, set[float]] = {}
    for each in segments:
        files.setdefault(_file(each, tower), set()).update(window_starts(each, window, hop))
    return [Source(name, dataset.root / name, tuple(sorted(starts))) for name, starts in files.items()]


def embed_windows(
    embedder: Embedder, dataset: Dataset, reading: Reading, hop: float, precision: str, workers: int, title: str
) -> SegmentEmbeddings:
    """Embed all windows of a data set; cached.

    Args:
        embedder: frozen tower or baseline.
        dataset: segments of files.
        reading: how a window is read.
        hop: seconds between windows.
        precision: of the embedder, by its Lightning Fabric name.
        workers: loader processes.
        title: of the progress bar.

    Raises:
        InputError: a file cannot be read, or its channels do not fit the features.
    """
    tower = tower_of(embedder)
    files = window_sources(dataset.recordings, dataset, tower, reading.seconds, hop)
    embeddings = cached_embeddings(embedder, files, reading, precision=precision, workers=workers, title=title)
    return group_by_segment(files, embeddings, dataset.recordings, tower, reading.seconds, hop)


def group_by_segment(
    files: Sequence[Source],
    embeddings: Sequence[Tensor],
    segments: Sequence[Recording],
    tower: str,
    window: float,
    hop: float,
) -> SegmentEmbeddings:
    """Assign window embeddings of files to their segments."""
    rows = {source.key: (each, {start: row for row, start in enumerate(source.starts)}) for source, each in
            zip(files, embeddings, strict=True)}  # fmt: skip
    grouped = []
    for segment in segments:
        each, position = rows[_file(segment, tower)]
        starts = window_starts(segment, window, hop)
        first, last = position[starts[0]], position[starts[-1]]
        # A view, not a copy: frames of a whole data set are large.
        grouped.append(each[first : last + 1])
    return grouped


def _file(segment: Recording, tower: str) -> str:
    return segment.audio if tower == "audio" else segment.video
