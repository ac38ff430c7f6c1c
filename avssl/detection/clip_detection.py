"""Detect objects in one whole clip: a job for a worker process that has no network yet, on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from avssl.datasets.manifest import Row
from avssl.detection.backends import Detector, load_detector
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import DetectedTimes
from avssl.detection.prefetch import detection_times, detector_input, frame_batches, read_views
from avssl.detection.tiling import SphereDetections, detect_frames

Clip = tuple[Row, DetectedTimes, list[SphereDetections]]
"""Row, detection times, and detections at each of these times."""


@dataclass(frozen=True)
class ClipDetection:
    """Row -> its clip's detections, as `detect_objects` finds them."""

    model: str
    panoramas: Panoramas
    rate: float
    """Frames per second."""
    views: str
    min_score: float
    wants_gpu: ClassVar[bool] = True

    def __call__(self, row: Row) -> Clip:
        """Detect.

        Raises:
            InputError: no such model here, or a broken video.
            OSError: the video cannot be read.
        """
        detector, found = _detector(self.model), list[SphereDetections]()
        for batch in frame_batches([row], self.rate, self.views):
            shown = detector_input(read_views(batch, self.panoramas, detector.side, self.views))
            found += detect_frames(detector, shown, self.min_score)
        return row, detection_times(row.seconds, self.rate), found


@lru_cache(maxsize=1)
def _detector(model: str) -> Detector:
    return load_detector(model)
