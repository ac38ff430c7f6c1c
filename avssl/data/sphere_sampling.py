"""Sample directions on the sphere with a minimum separation, random or near given ones."""

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
    """Number of directions, elevation range of random ones, and minimum separation."""

    count: int
    """K."""
    min_elevation: float
    """Radians; least elevation of random directions."""
    max_elevation: float
    """Radians; largest elevation of random directions."""
    min_separation: float
    """Radians between any two."""


def sample_directions(constraints: DirectionConstraints, rng: np.random.Generator, tries: int = TRIES) -> Floats:
    """Azimuth and elevation `(K, 2)` of random directions, one after the other, each far enough from those before it.

    Raises:
        InputError: no such set of directions was found in `tries` attempts.
    """
    found = _completed(NOWHERE, constraints, rng, tries)
    if found is None:
        least, min_elevation, max_elevation = (
            math.degrees(each)
            for each in (constraints.min_separation, constraints.min_elevation, constraints.max_elevation)
        )
        raise InputError(
            f"{constraints.count} crops do not fit {least:g} degrees apart between elevations "
            f"{min_elevation:g} and {max_elevation:g}: fewer crops or a smaller min_separation"
        )
    return found


def sample_directions_near(
    given: Floats, constraints: DirectionConstraints, rng: np.random.Generator
) -> tuple[Floats, int]:
    """Azimuth and elevation `(K, 2)`: given directions, best first, then random ones.

    The last given ones are dropped where they leave no room for the remaining random directions.

    Args:
        given: `(N, 2)`, at most K, best first; neither elevations nor their separation are limited.
        constraints: K, elevations of random directions, and their least angle from all others.
        rng: random number generator.

    Returns:
        The directions, and the number of given ones among them.
    """
    for kept in range(len(given), 0, -1):
        found = _completed(given[:kept], constraints, rng, TRIES_AT_FIRST)
        if found is not None:
            return found, kept
    return sample_directions(constraints, rng), 0


def distinct_directions(given: Floats, count: int, least: float) -> NDArray[np.int64]:
    """Indices of up to `count` given directions, each far enough from the better ones among them.

    Args:
        given: `(N, 2)`, best first.
        count: largest number.
        least: least angle between any two, radians.
    """
    chosen: list[int] = []
    free = np.ones(len(given), bool)
    while free.any() and len(chosen) < count:
        chosen.append(int(free.argmax()))
        free &= are_apart(given, given[chosen[-1:]], least)
        free[chosen[-1]] = False
    return np.array(chosen, np.int64)


def _completed(taken: Floats, constraints: DirectionConstraints, rng: np.random.Generator, tries: int) -> Floats | None:
    """Directions `(K, 2)`: those taken, then random ones; None where none were found that keep apart."""
    given, most = _unit_vectors(taken), _largest_cosine(constraints.min_separation)
    for _ in range(tries):
        found, vectors = list(taken), list(given)
        while len(found) < constraints.count:
            candidates = np.empty((64, 2))
            candidates[:, 0] = rng.uniform(-np.pi, np.pi, 64)
            candidates[:, 1] = rng.uniform(constraints.min_elevation, constraints.max_elevation, 64)
            places = _unit_vectors(candidates)
            first = _first_apart(places, vectors, most)
            if first is None:
                break
            found.append(candidates[first])
            vectors.append(places[first])
        else:
            return np.array(found)
    return None


def _first_apart(places: Floats, taken: list[Floats], most: float) -> int | None:
    """Index of the first unit vector `(N, 3)` far enough from all that are taken; None if there is none."""
    if not taken:
        return 0
    free = (places @ np.array(taken).T).max(1) <= most
    first = int(free.argmax())
    return first if free[first] else None


def are_apart(directions: Floats, taken: Floats, least: float) -> NDArray[np.bool_]:
    """Which directions are far enough from all that are taken: `(len(directions),)`.

    Args:
        directions: `(N, 2)`.
        taken: `(M, 2)`.
        least: least angle, radians.
    """
    cosines = _unit_vectors(directions) @ _unit_vectors(taken).T
    free: NDArray[np.bool_] = cosines.max(1, initial=-1.0) <= _largest_cosine(least)
    return free


def _unit_vectors(directions: Floats) -> Floats:
    """Unit vectors `(N, 3)` of directions `(N, 2)`."""
    cosines, sines = np.cos(directions), np.sin(directions)
    vectors = np.empty((len(directions), 3))
    vectors[:, 0], vectors[:, 1], vectors[:, 2] = (
        cosines[:, 0] * cosines[:, 1],
        sines[:, 0] * cosines[:, 1],
        sines[:, 1],
    )
    return vectors


def _largest_cosine(least: float) -> float:
    """Cosine of the least angle, with a tolerance for rounding."""
    return math.cos(least) + 1e-12
