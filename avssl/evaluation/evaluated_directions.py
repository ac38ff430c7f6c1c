"""Directions that a dense task found in held-out windows with one source, as evaluated clips of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from avssl.datasets.manifest import Manifest
from avssl.evaluation.localization_scores import FoundDirection
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips


def evaluated_directions(clips: Manifest, directions: Sequence[FoundDirection]) -> EvaluatedClips:
    """Found and true direction of each window; its score is the angle between them, degrees."""
    rows = {row.key: row for row in clips}
    found = []
    for each in directions:
        row = rows[each.name]
        azimuth, elevation = degrees(each.source)
        predicted_azimuth, predicted_elevation = degrees(each.peak)
        clip = EvaluatedClip(
            row.key, each.error, video=row.video, audio=row.audio, start=row.start, seconds=row.seconds
        )
        found.append(
            replace(
                clip, azimuth=azimuth, elevation=elevation, predicted_azimuth=predicted_azimuth,
                predicted_elevation=predicted_elevation,
            )
        )  # fmt: skip
    return EvaluatedClips(tuple(found), clips.root, "direction_error", better=-1)


def degrees(vector: Iterable[float]) -> tuple[float, float]:
    """Azimuth and elevation of a vector along x, y, z, degrees.

    Example:
        >>> [round(each, 6) for each in degrees((0.0, 1.0, 0.0))]
        [90.0, 0.0]
    """
    x, y, z = map(float, vector)
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))
