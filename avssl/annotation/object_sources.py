"""Sources from objects that `avssl detect` found in 360-degree clips: detections of one object joined over time."""

# N detections

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from avssl.datasets.manifest import NAME, Row, read_manifest
from avssl.detection.object_index import MAX_ROWS, SCHEMA, read_settings
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable
from avssl.spatial.ambisonics import rotation
from avssl.synth.user_clips.annotations import Annotation

NEAR = 15.0
"""Degrees that an object moves between two detection times, at most."""
GAP = 2.5
"""Steps of detection over which an object may be missed."""
LEAST = 2
"""Detections of a source, at least: a single one is often a mistake."""
POINTS = 64
"""Points on the ellipse in a box on the sphere, from which its edges in the frame are measured."""


class Detection(NamedTuple):
    """One object at one time; angles in degrees."""

    time: float
    azimuth: float
    elevation: float
    width: float
    height: float


@dataclass
class _Track:
    """Detections of one object, in the order of time."""

    label: str
    found: list[Detection] = field(default_factory=list)


def object_sources(path: Path, films: Mapping[str, Path]) -> list[Annotation]:
    """Sources of a file of objects: a segment and key frames for each object that is followed over time.

    Args:
        path: `objects-MODEL.parquet`, beside the manifest of its clips.
        films: resolved paths of films by name; objects of clips of other films keep the path of their recording.

    Returns:
        Sources with times of the film. Boxes that reach over the seam end there.

    Raises:
        InputError: a broken file, or no manifest beside it.
    """
    _, detected = read_settings(path)
    if not (path.parent / NAME).is_file():
        raise InputError(f"{path}: expected {NAME} of its clips beside it, got none")
    rows = {row.key: row for row in read_manifest(path.parent)}
    by_clip: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in ParquetTable(path, SCHEMA, "objects of avssl", MAX_ROWS).read().to_pylist():
        by_clip[each["key"]].append(each)
    known = {film.resolve() for film in films.values()}
    return [
        source
        for key, objects in by_clip.items()
        if key in rows and key in detected
        for source in _sources(_film(path.parent, rows[key], known), rows[key], objects, detected[key].step)
    ]


def frame_box(detection: Detection) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box on the sphere in an equirectangular frame, 0..1; cut at the seam.

    Example:
        >>> [round(each, 3) for each in frame_box(Detection(0.0, 90.0, 0.0, 36.0, 18.0))]
        [0.2, 0.45, 0.3, 0.55]
    """
    turns = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    across, up = (math.tan(math.radians(each) / 2) for each in (detection.width, detection.height))
    seen = np.stack([np.ones(POINTS), across * np.cos(turns), up * np.sin(turns)], 1)
    x, y, z = (seen @ rotation(0.0, math.radians(detection.elevation)).double().numpy().T).T
    azimuth, elevation = np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))
    centre = 0.5 - detection.azimuth / 360
    left, right = centre - float(azimuth.max()) / (2 * np.pi), centre - float(azimuth.min()) / (2 * np.pi)
    top, bottom = (0.5 - float(each) / np.pi for each in (elevation.max(), elevation.min()))
    return max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom)


def follow(objects: Sequence[Mapping[str, Any]], step: float) -> list[tuple[str, list[Detection]]]:
    """Label and detections of each object that is found more than once.

    A detection goes on with the nearest object of its label that is no further than `NEAR` a step; the best scores
    choose first.

    Args:
        objects: columns of objects of one clip.
        step: seconds between detection times.
    """
    tracks: list[_Track] = []
    for each in sorted(objects, key=lambda row: (row["time"], -row["score"])):
        detection = Detection(*(float(each[name]) for name in Detection._fields))
        near = [track for track in tracks if track.label == each["label"] and _goes_on(track, detection, step)]
        track = min(near, key=lambda one: _apart(one.found[-1], detection), default=None)
        if track is None:
            track = _Track(each["label"])
            tracks.append(track)
        track.found.append(detection)
    return [(track.label, track.found) for track in tracks if len(track.found) >= LEAST]


def _sources(film: Path, row: Row, objects: Sequence[Mapping[str, Any]], step: float) -> Iterator[Annotation]:
    for label, found in follow(objects, step):
        times = tuple(each.time + row.start for each in found)
        start, end = max(0.0, times[0] - step / 2), times[-1] + step / 2
        yield Annotation(film, film, label, start, end, times=times, boxes=tuple(map(frame_box, found)))


def _film(folder: Path, row: Row, known: set[Path]) -> Path:
    """The film of a clip: its own file, or else its original recording, which `prepare` reads from its beginning."""
    own = (folder / row.video).resolve()
    return own if own in known or not row.source else Path(row.source).resolve()


def _goes_on(track: _Track, detection: Detection, step: float) -> bool:
    last = track.found[-1]
    steps = (detection.time - last.time) / step
    return 0.5 < steps <= GAP and _apart(last, detection) <= NEAR * max(1.0, steps)


def _apart(one: Detection, other: Detection) -> float:
    """Degrees between two directions."""
    first, second = (
        rotation(math.radians(each.azimuth), math.radians(each.elevation))[:, 0].double() for each in (one, other)
    )
    return math.degrees(float(torch.arccos((first @ second).clamp(-1, 1))))
