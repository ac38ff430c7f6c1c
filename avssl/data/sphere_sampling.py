"""Directions that keep apart on the sphere: random ones, alone or around some that are given."""

# K directions wanted, N given; azimuth and elevation in radians

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError

Floats = NDArray[np.float64]

# Draws of a whole set before giving up; a configuration, or a choice of what is given, is accepted only if far fewer
# are enough for it.
TRIES = 5000
TRIES_AT_FIRST = 50
NOWHERE: Floats = np.empty((0, 2))


@dataclass(frozen=True)
class DirectionConstraints:
    """How many directions are wanted, where random ones may be, and how far apart all of them are."""

    count: int
    """K."""
    min_elevation: float
    """Radians; least elevation of random directions."""
    max_elevation: float
    """Radians; largest elevation of random directions."""
    min_separation: float
    """Radians between any two."""


def sample_directions(room: DirectionConstraints, rng: np.random.Generator, tries: int = TRIES) -> Floats:
    """Azimuth and elevation `(K, 2)` of random directions, one after the other, each far enough from those before it.

    Raises:
        InputError: so many this far apart were not found; some tries are enough wherever there is room.
    """
    found = _completed(NOWHERE, room, rng, tries)
    if found is None:
        least, min_elevation, max_elevation = (
            math.degrees(each) for each in (room.min_separation, room.min_elevation, room.max_elevation)
        )
        raise InputError(
            f"{room.count} crops do not fit {least:g} degrees apart between elevations "
            f"{min_elevation:g} and {max_elevation:g}: fewer crops or a smaller min_separation"
        )
    return found


def sample_directions_near(given: Floats, room: DirectionConstraints, rng: np.random.Generator) -> Floats:
    """Azimuth and elevation `(K, 2)`: of what is given, best first, then random.

    What is closer than the least angle to something better is passed over; the last are given up where they leave no
    room for the random directions that are still missing.

    Args:
        given: `(N, 2)`, best first; elevations are not limited.
        room: K, elevations of random directions, least angle.
        rng: the only source of chance.
    """
    chosen = _distinct(given, room)
    for kept in range(len(chosen), 0, -1):
        found = _completed(chosen[:kept], room, rng, TRIES_AT_FIRST)
        if found is not None:
            return found
    return sample_directions(room, rng)


def _distinct(given: Floats, room: DirectionConstraints) -> Floats:
    """Up to K of what is given, each far enough from the better ones among them."""
    chosen, left = NOWHERE, given
    while len(left) and len(chosen) < room.count:
        chosen = np.concatenate([chosen, left[:1]])
        left = left[1:][_free(left[1:], left[:1], room)]
    return chosen


def _completed(taken: Floats, room: DirectionConstraints, rng: np.random.Generator, tries: int) -> Floats | None:
    """Directions `(K, 2)`: those taken, then random ones; None where none were found that keep apart."""
    for _ in range(tries):
        found = taken
        while len(found) < room.count:
            candidates = np.stack(
                [rng.uniform(-np.pi, np.pi, 64), rng.uniform(room.min_elevation, room.max_elevation, 64)], 1
            )
            free = _free(candidates, found, room)
            if not free.any():
                break
            found = np.concatenate([found, candidates[free][:1]])
        else:
            return found
    return None


def _free(directions: Floats, taken: Floats, room: DirectionConstraints) -> NDArray[np.bool_]:
    """Which directions are far enough from all that are taken: `(len(directions),)`."""
    across = np.cos(directions[:, None, 0] - taken[:, 0]) * np.cos(directions[:, None, 1]) * np.cos(taken[:, 1])
    cosines = across + np.sin(directions[:, None, 1]) * np.sin(taken[:, 1])
    free: NDArray[np.bool_] = cosines.max(1, initial=-1.0) <= math.cos(room.min_separation) + 1e-12
    return free
