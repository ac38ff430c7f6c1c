"""Tile a panorama into detector inputs and map detected boxes back to the sphere."""

# V views, N boxes

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.detection.backends import Detections, Detector
from avssl.spatial.boxes import from_frame, from_view, merge
from avssl.spatial.viewport import viewport_map, wrap

Frame = NDArray[np.uint8]

VIEW_MODES = ("viewports", "equirect")
BEYOND = 0.125
"""Horizontal padding as a share of a panorama's width, so that objects across the seam are whole."""
LEVEL = [(45.0 * index, 0.0, 75.0) for index in range(8)]
POLES = [(0.0, 90.0, 110.0), (0.0, -90.0, 110.0)]
VIEWS = np.radians(LEVEL + POLES)
"""Azimuth, elevation and field of view of cameras that overlap by 30 degrees around the horizon, and by some at the
poles; wider objects are detected in the whole frame."""
HIGHEST = np.radians(50.0)
"""Highest elevation, in radians, of boxes of the whole frame; beyond it the views of the poles replace them."""
EDGE = 0.01
"""Share of an image's side: a box closer to the border may be truncated."""
SHARP = 180 / 75
"""Useful rows of a panorama per pixel of a view."""


class SphereDetections(NamedTuple):
    """The objects of one panorama, best first."""

    boxes: NDArray[np.float64]
    """`(N, 4)` azimuth, elevation, width, height: a box on the sphere."""
    scores: NDArray[np.float32]
    """`(N,)`."""
    labels: list[str]
    """Class name of each object."""


class DetectorInput(NamedTuple):
    """Detector inputs of panoramas."""

    whole: NDArray[np.uint8]
    """`(frames, height, side, 3)`, the panorama with wrap padding."""
    views: NDArray[np.uint8]
    """`(frames, V, side, side, 3)`; V is 0 for equirect."""


def rows_for(side: int, rows: int, ways: str) -> int:
    """Rows to decode a panorama to, at most its own, for a detector input of `side` pixels."""
    useful = side * SHARP if ways == "viewports" else side
    return max(2, min(rows, round(useful)))


def make_views(frame: Frame, side: int, ways: str) -> tuple[Frame, Frame]:
    """Detector inputs of a panorama `(height, width, 3)`: one frame of `DetectorInput`, whole and views."""
    whole = wrap_pad(frame, side)
    if ways == "equirect":
        return whole, np.empty((0, side, side, 3), np.uint8)
    maps = _maps(side, *frame.shape[:2])
    views = np.asarray(cv2.remap(wrap(frame), *maps, cv2.INTER_LINEAR), np.uint8)
    return whole, views.reshape(len(VIEWS), side, side, 3)


def wrap_pad(frame: Frame, side: int) -> Frame:
    """Pad a panorama on the right by wrapping around the seam, and scale it to `side` pixels of width."""
    height, width = frame.shape[:2]
    longer = np.concatenate([frame, frame[:, : round(width * BEYOND)]], 1)
    rows = round(height * side / longer.shape[1])
    shrinks = side < longer.shape[1]
    resized: Any = cv2.resize(longer, (side, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def detect_frames(detector: Detector, shown: DetectorInput, min_score: float) -> list[SphereDetections]:
    """Detect objects in panoramas; duplicates of several views are merged.

    Args:
        detector: object detector.
        shown: whole frames and views.
        min_score: lowest score of detections.

    Returns:
        Detections of each frame.
    """
    frames, views = shown.views.shape[:2]
    wholes = detector.find(shown.whole, min_score)
    parts = detector.find(shown.views.reshape(-1, *shown.views.shape[2:]), min_score) if views else []
    return [
        _merged(wholes[each], parts[each * views : (each + 1) * views], shown.whole.shape[1:3])
        for each in range(frames)
    ]


def _merged(whole: Detections, parts: list[Detections], size: tuple[int, int]) -> SphereDetections:
    every = [_of_whole(whole, size, bool(parts))]
    every += [_of_view(part, pose, size[1]) for part, pose in zip(parts, VIEWS.tolist(), strict=bool(parts))]
    boxes, cut, scores = (np.concatenate(list(each)) for each in zip(*(part[:3] for part in every), strict=True))
    labels = [label for part in every for label in part[3]]
    kept = merge(boxes, scores, cut)
    return SphereDetections(boxes[kept], scores[kept], [labels[each] for each in kept])


Part = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float32], list[str]]


def _of_whole(found: Detections, size: tuple[int, int], poles: bool) -> Part:
    """Boxes of a whole frame; those near the poles only without views of the poles."""
    height, width = size
    edges = found.edges / np.array([width / (1 + BEYOND), height] * 2)
    boxes = from_frame(edges)
    cut = (found.edges[:, 0] < EDGE * width) | (found.edges[:, 2] > (1 - EDGE) * width)
    kept = (np.abs(boxes[:, 1]) <= HIGHEST) | (not poles)
    labels = [label for label, stays in zip(found.labels, kept, strict=True) if stays]
    return boxes[kept], cut[kept], found.scores[kept], labels


def _of_view(found: Detections, pose: list[float], side: int) -> Part:
    cut = np.any((found.edges < EDGE * side) | (found.edges > (1 - EDGE) * side), axis=1)
    return from_view(found.edges, side, *pose), cut, found.scores, found.labels


@lru_cache(maxsize=2)
def _maps(side: int, height: int, width: int) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    azimuth, elevation, fov = VIEWS.T
    return viewport_map(side, side, height, width, azimuth, elevation, 0.0, fov)
