"""Objects that a detector found in a 360-degree film, beside the direction of its sound over time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avssl.inspection.motion import angle_apart


@dataclass(frozen=True)
class ObjectAt:
    """One object at one time."""

    seconds: float
    """From the film's beginning."""
    azimuth: float
    """Degrees to the left of the front."""
    elevation: float
    """Degrees above the horizon."""
    label: str
    score: float
    """0..1."""


FindObjects = Callable[[Path, Sequence[float]], list[ObjectAt]]
"""Objects of a film at ascending times, each with the time that was given; none where nobody looked for them."""


def nearest_angle(
    sound: Sequence[tuple[float, float]], times: Sequence[float], objects: Sequence[ObjectAt]
) -> tuple[float, float]:
    """Median angle from sound to the nearest object of its time, and the same for a random direction of sound.

    Args:
        sound: azimuth and elevation in degrees at `times`; nan where there is none.
        times: seconds.
        objects: at these times.

    Returns:
        Degrees; nan where sound and objects share no time.
    """
    pairs = [
        (place, [(each.azimuth, each.elevation) for each in objects if each.seconds == time])
        for place, time in zip(sound, times, strict=True)
    ]
    known = [(place, seen) for place, seen in pairs if seen and math.isfinite(place[0])]
    if not known:
        return math.nan, math.nan
    anywhere = [(azimuth, 0.0) for azimuth in range(-180, 180, 10)]
    random = [_nearest(place, seen) for _, seen in known for place in anywhere]
    return float(np.median([_nearest(*each) for each in known])), float(np.median(random))


def objects_text(objects: Sequence[ObjectAt], angle: float, random: float) -> str:
    """One line for the table: number, classes, and the angle to the sound."""
    if not objects:
        return "none found"
    counts = ", ".join(f"{label} {count}" for label, count in Counter(each.label for each in objects).most_common(5))
    times = len({each.seconds for each in objects})
    near = (
        "" if math.isnan(angle) else f"; the nearest {angle:.0f} degrees from the sound on median (chance {random:.0f})"
    )
    return f"{len(objects)} at {times} times: {counts}{near}"


def _nearest(place: tuple[float, float], seen: Sequence[tuple[float, float]]) -> float:
    return min(angle_apart(place, each) for each in seen)
