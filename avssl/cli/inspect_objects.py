"""Objects for `avssl inspect`: those that `avssl detect` left beside a film, or those that a detector finds now."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from avssl.datasets.manifest import Row
    from avssl.detection.backends import Detector
    from avssl.inspection.seen_objects import ObjectAt

logger = logging.getLogger(__name__)
MIN_SCORE = 0.25
"""Lowest score of objects that are found now; as in `avssl detect`."""
BATCH = 4
"""Frames that a detector gets at once."""


def stored_objects(path: Path, times: Sequence[float]) -> list[ObjectAt]:
    """Objects of a film at some times, from a file `objects-MODEL.parquet` in its folder or the one above.

    Each time has the objects of the nearest detection time, at most one step away. Without such a file, or where it
    does not cover the film, there are none.

    Args:
        path: the film.
        times: seconds, ascending.

    Raises:
        InputError: a broken file.
    """
    from avssl.detection.object_index import MAX_ROWS, SCHEMA, read_settings
    from avssl.inspection.seen_objects import ObjectAt
    from avssl.io.parquet_table import ParquetTable

    for file, row in _covering(path):
        _, detected = read_settings(file)
        if row.key not in detected:
            continue
        rows = ParquetTable(file, SCHEMA, "objects of avssl", MAX_ROWS).read().to_pylist()
        objects, steps = [each for each in rows if each["key"] == row.key], detected[row.key]
        logger.info("%s: objects of %s", path.name, file)
        clock, found = steps.times(), []
        for time in times:
            nearest = float(clock[np.abs(clock - (time - row.start)).argmin()])
            if abs(nearest - (time - row.start)) <= steps.step:
                seen = [each for each in objects if abs(each["time"] - nearest) < steps.step / 2]
                found += [
                    ObjectAt(time, each["azimuth"], each["elevation"], each["label"], each["score"]) for each in seen
                ]
        return found
    return []


class Detecting:
    """Finds objects in films by a detector.

    Args:
        detector: see `load_detector`.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def __call__(self, path: Path, times: Sequence[float]) -> list[ObjectAt]:
        """Objects of a film at ascending times, seconds.

        Raises:
            InputError: frames that cannot be read.
        """
        from avssl.detection.tiling import rows_for
        from avssl.media.video_reader import VideoReader

        video = VideoReader(path)
        height = rows_for(self.detector.side, video.height, self.detector.views)
        frames = video.frames(list(times), (height, 2 * height))
        pairs = list(zip(times, frames, strict=True))
        return [each for at in range(0, len(pairs), BATCH) for each in self._found(pairs[at : at + BATCH])]

    def _found(self, pairs: Sequence[tuple[float, np.ndarray]]) -> Iterator[ObjectAt]:
        from avssl.detection.tiling import DetectorInput, detect_frames, make_views
        from avssl.inspection.seen_objects import ObjectAt

        views = [make_views(frame, self.detector.side, self.detector.views) for _, frame in pairs]
        shown = DetectorInput(np.stack([whole for whole, _ in views]), np.stack([each for _, each in views]))
        for (time, _), found in zip(pairs, detect_frames(self.detector, shown, MIN_SCORE), strict=True):
            for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels, strict=True):
                yield ObjectAt(time, math.degrees(box[0]), math.degrees(box[1]), label, score)


def _covering(path: Path) -> Iterator[tuple[Path, Row]]:
    """Files of objects with the row of a film, in the folders where `avssl detect` writes them."""
    from avssl.datasets.manifest import NAME, read_manifest

    resolved = path.resolve()
    for folder in (resolved.parent, resolved.parent.parent):
        files = sorted(folder.glob("objects-*.parquet"))
        if not files or not (folder / NAME).is_file():
            continue
        manifest = read_manifest(folder)
        row = next((each for each in manifest if (manifest.root / each.video).resolve() == resolved), None)
        if row is not None:
            yield from ((file, row) for file in files)
