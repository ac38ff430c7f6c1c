"""Split clips into batches of frames and prefetch them in loader processes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.datasets.manifest import Row
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import DetectedTimes
from avssl.detection.tiling import DetectorInput, make_views, rows_for
from avssl.io.cores import usable_cores
from avssl.io.loader_process import init_loader, packed, stacked, unpacked
from avssl.io.process_pool import ordered_outcomes
from avssl.io.worker_settings import patience
from avssl.media import iterate_frames
from avssl.media.clip_start import check_clip_start

TOGETHER = {"viewports": 4, "equirect": 16}
"""Frames per batch."""
PROCESSES = 4
"""At most; each holds some 50 MB of views."""


@dataclass(frozen=True)
class FrameBatch:
    """Some or all detection times of a clip."""

    row: Row
    detected_times: DetectedTimes
    first: int
    """Index of the first one among the clip's detection times."""
    times: tuple[float, ...]
    """Seconds from the clip's beginning."""

    @property
    def ends(self) -> bool:
        """Whether this is the clip's last batch."""
        return self.first + len(self.times) == self.detected_times.frames


def detection_times(seconds: float, rate: float) -> DetectedTimes:
    """Detection times of a clip, evenly spaced; at least one.

    Args:
        seconds: length of the clip.
        rate: times per second, rounded to a whole number per clip.
    """
    frames = max(1, round(seconds * rate))
    return DetectedTimes(frames, seconds / frames, 0.5)


def frame_batches(rows: Iterable[Row], rate: float, views: str) -> Iterator[FrameBatch]:
    """Split clips into batches, in order."""
    for row in rows:
        detected_times = detection_times(row.seconds, rate)
        times = detected_times.times().tolist()
        for first in range(0, detected_times.frames, TOGETHER[views]):
            yield FrameBatch(row, detected_times, first, tuple(times[first : first + TOGETHER[views]]))


def read_ahead(
    cut: Iterable[FrameBatch], panoramas: Panoramas, side: int, views: str
) -> Generator[tuple[FrameBatch, DetectorInput | BaseException], None, None]:
    """Read batches in order with their detector inputs, a few batches ahead, in loader processes.

    Args:
        cut: the batches.
        panoramas: the clips' equirectangular frames.
        side: input size of the detector in pixels.
        views: viewports or equirect.

    Yields:
        Each batch with its frames and views, or with the error of its video: `InputError` or `OSError`, and
        `CrashError` where its decoder killed a process.
    """

    def read(batch: FrameBatch) -> dict[str, Any]:
        return packed(read_views(batch, panoramas, side, views))

    batches, processes = list(cut), min(PROCESSES, usable_cores())
    with closing(ordered_outcomes(read, batches, processes, init_loader, _key, patience())) as results:
        for batch, outcome in results:
            if isinstance(outcome, BaseException):
                yield batch, outcome
            else:
                yield batch, detector_input(unpacked(outcome))


def _key(batch: FrameBatch) -> str:
    return batch.row.key


def read_views(batch: FrameBatch, panoramas: Panoramas, side: int, views: str) -> dict[str, Tensor]:
    """Frames of a batch, and their views; see `read_ahead`.

    Raises:
        InputError: the video is broken.
        OSError: it cannot be read.
    """
    panorama = panoramas[batch.row.key]
    check_clip_start(panorama.path, panorama.start)
    rows = rows_for(side, panorama.rows, views)
    times = [panorama.start + time for time in batch.times]
    frames = iterate_frames(panorama.path, times, (rows, 2 * rows), panorama.stream)
    wholes, parts = zip(*(make_views(frame, side, views) for frame in frames), strict=True)
    return {"whole": _stacked(wholes), "views": _stacked(parts)}


def detector_input(read: dict[str, Tensor]) -> DetectorInput:
    """What `read_views` has read, as a detector takes it."""
    return DetectorInput(**{name: each.numpy() for name, each in read.items()})


def _stacked(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    return stacked([torch.from_numpy(image) for image in images])
