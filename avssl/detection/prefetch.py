"""Clips cut into pieces of a few instants, and read ahead of the detector by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from avssl.datasets.manifest import Row
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import DetectedTimes
from avssl.detection.tiling import DetectorInput, make_views, rows_for
from avssl.io.cores import usable_cores
from avssl.media import iterate_frames

TOGETHER = {"viewports": 4, "equirect": 16}
"""Instants that are shown at once."""
THREADS = 4
"""At most; each holds some 50 MB of views."""


@dataclass(frozen=True)
class FrameBatch:
    """Some instants of a clip, or all."""

    row: Row
    looked: DetectedTimes
    first: int
    """Of the clip's instants."""
    times: tuple[float, ...]
    """Seconds from the clip's beginning."""

    @property
    def ends(self) -> bool:
        """Nothing of the clip follows."""
        return self.first + len(self.times) == self.looked.frames


def instants(seconds: float, rate: float) -> DetectedTimes:
    """The instants of a clip to look at, evenly spread; at least one.

    Args:
        seconds: length of the clip.
        rate: instants a second; a clip may get up to half an instant less or more.
    """
    frames = max(1, round(seconds * rate))
    return DetectedTimes(frames, seconds / frames, 0.5)


def frame_batches(rows: Iterable[Row], rate: float, views: str) -> Iterator[FrameBatch]:
    """Clips in pieces, one after the other."""
    for row in rows:
        looked = instants(row.seconds, rate)
        times = looked.times().tolist()
        for first in range(0, looked.frames, TOGETHER[views]):
            yield FrameBatch(row, looked, first, tuple(times[first : first + TOGETHER[views]]))


def read_ahead(
    cut: Iterable[FrameBatch], panoramas: Panoramas, side: int, views: str
) -> Iterator[tuple[FrameBatch, DetectorInput]]:
    """Pieces in order with what a detector is shown of them, a few pieces ahead.

    Args:
        cut: the pieces.
        panoramas: the clips' pictures.
        side: pixels of what is shown.
        views: viewports or equirect.

    Yields:
        Each piece with its pictures.

    Raises:
        InputError: a video is broken.
    """

    def read(piece: FrameBatch) -> DetectorInput:
        panorama = panoramas[piece.row.key]
        rows = rows_for(side, panorama.rows, views)
        times = [panorama.start + time for time in piece.times]
        frames = iterate_frames(panorama.path, times, (rows, 2 * rows), panorama.stream)
        wholes, parts = zip(*(make_views(frame, side, views) for frame in frames), strict=True)
        return DetectorInput(np.stack(wholes), np.stack(parts))

    threads = min(THREADS, usable_cores())
    waiting: deque[tuple[FrameBatch, Future[DetectorInput]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
    try:
        for piece in cut:
            waiting.append((piece, pool.submit(read, piece)))
            if len(waiting) > threads:
                begun, future = waiting.popleft()
                yield begun, future.result()
        for begun, future in waiting:
            yield begun, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
