"""Direction of motion in equirectangular frames over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avssl.media.video_reader import VideoReader
from avssl.spatial.ambisonics import direction
from avssl.spatial.energy_map import equirectangular_grid

SIZE = (90, 180)
"""Rows and columns of the frames that are compared."""
APART = 0.12
"""Seconds between two frames that are compared."""
STILL = 0.2
"""Mean difference of 255 up to which nothing moves."""


@dataclass(frozen=True)
class MotionAt:
    """Where the frames change at one time."""

    seconds: float
    azimuth: float
    """Degrees to the left of the front; nan where nothing moves."""
    elevation: float
    """Degrees above the horizon."""
    concentration: float
    """1 if all motion is in one direction, 0 if it is all around."""


def motion_path(video: VideoReader, times: Sequence[float]) -> list[MotionAt]:
    """Direction of motion at ascending times of an equirectangular film.

    Each is the mean over the sphere of where two frames 0.12 s apart differ by more than twice their median difference
    and a quarter of the largest one.
    """
    pairs = [each for time in times for each in (max(0.0, time - APART / 2), max(0.0, time + APART / 2))]
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    images: dict[int, NDArray[np.float32]] = {}
    for place, image in zip(order, video.frames([pairs[place] for place in order], SIZE), strict=True):
        images[place] = image.astype(np.float32).mean(-1)
    return [_motion(time, images[2 * index], images[2 * index + 1]) for index, time in enumerate(times)]


def median_angle(sound: Sequence[tuple[float, float]], motion: Sequence[MotionAt]) -> float:
    """Median angle in degrees between sound, azimuth and elevation, and motion; nan without a common time.

    Args:
        sound: azimuth and elevation in degrees, of the times of `motion`; nan where there is none.
        motion: as from `motion_path`.
    """
    apart = [angle_apart(each, (other.azimuth, other.elevation)) for each, other in zip(sound, motion, strict=True)]
    known = [each for each in apart if math.isfinite(each)]
    return float(np.median(known)) if known else math.nan


def _motion(seconds: float, before: NDArray[np.float32], after: NDArray[np.float32]) -> MotionAt:
    difference = np.abs(after - before)
    azimuth, elevation = equirectangular_grid(*SIZE)
    least = max(2 * float(np.median(difference)), float(difference.max()) / 4)  # grain, and the coder's noise
    weight = np.clip(difference - least, 0, None) * np.cos(elevation.numpy())
    if float(difference.mean()) < STILL or not weight.sum():
        return MotionAt(seconds, math.nan, math.nan, 0.0)
    x, y, z = (weight[..., None] * direction(azimuth, elevation).numpy()).sum((0, 1)) / weight.sum()
    length = float(np.sqrt(x * x + y * y + z * z))
    return MotionAt(seconds, math.degrees(math.atan2(y, x)), math.degrees(math.asin(z / max(length, 1e-9))), length)


def angle_apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Degrees between two directions, azimuth and elevation in degrees each; nan where one is unknown."""
    (a, b), (c, d) = (tuple(map(math.radians, each)) for each in (one, other))
    cosine = math.sin(b) * math.sin(d) + math.cos(b) * math.cos(d) * math.cos(a - c)
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine)))) if math.isfinite(cosine) else math.nan
