"""Trajectories: smooth closed-form paths around the listener."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEAREST, FARTHEST = 1.2, 5.0
"""Distance from the listener, m."""
HIGHEST = np.radians(45.0)
"""Maximum elevation of a trajectory; starts lie within 35 degrees, plus the oscillation."""


@dataclass(frozen=True)
class Oscillation:
    """A slow sine."""

    amplitude: float
    rate: float
    """Hz."""
    phase: float
    """Radians."""

    def at(self, times: Floats) -> Floats:
        """Its value at some instants, zero at time 0."""
        turn = 2 * np.pi * self.rate
        return np.asarray(self.amplitude * (np.sin(turn * times + self.phase) - np.sin(self.phase)))


@dataclass(frozen=True)
class Path:
    """A steady drift and three slow swings about a starting point."""

    azimuth: float
    elevation: float
    distance: float
    """Metres at time 0."""
    drift: float
    """Radians of azimuth a second."""
    sway: Oscillation
    """Radians of azimuth."""
    lift: Oscillation
    """Radians of elevation."""
    reach: Oscillation
    """Natural logarithm of distance."""

    def at(self, times: Floats) -> tuple[Floats, Floats, Floats]:
        """Azimuth and elevation in radians and distance in metres; azimuth is not wrapped, so that it has no jumps."""
        azimuth = self.azimuth + self.drift * times + self.sway.at(times)
        elevation = HIGHEST * np.tanh((self.elevation + self.lift.at(times)) / HIGHEST)
        return azimuth, elevation, self.distance * np.exp(self.reach.at(times))


def draw_path(rng: np.random.Generator, azimuth: float, elevation: float) -> Path:
    """A random path from a given direction; it moves at up to about 30 degrees a second."""
    swing = rng.uniform(0, 1, 3) * (np.radians(10.0), np.radians(7.0), 0.15)
    rates, phases = rng.uniform(0.05, 0.25, 3), rng.uniform(0, 2 * np.pi, 3)
    sway, lift, reach = (
        Oscillation(*values) for values in zip(swing.tolist(), rates.tolist(), phases.tolist(), strict=True)
    )
    margin = np.exp(2 * reach.amplitude)
    distance = float(np.exp(rng.uniform(np.log(NEAREST * margin), np.log(FARTHEST / margin))))
    drift = float(np.radians(20.0) * np.clip(rng.normal(0, 0.4), -1, 1))
    return Path(azimuth, elevation, distance, drift, sway, lift, reach)


def spread(rng: np.random.Generator, count: int, apart: float, highest: float) -> list[tuple[float, float]]:
    """Directions that keep an angle from each other, uniform in azimuth and in sine of elevation.

    Args:
        rng: where the randomness comes from.
        count: how many; few enough to fit.
        apart: least angle between two of them, radians.
        highest: largest elevation, up or down, radians.

    Returns:
        Pairs of azimuth and elevation in radians.
    """
    found: list[tuple[float, float]] = []
    vectors = np.zeros((0, 3))
    while len(found) < count:
        azimuth = float(rng.uniform(-np.pi, np.pi))
        elevation = float(np.arcsin(rng.uniform(-1, 1) * np.sin(highest)))
        vector = unit_vector(np.array(azimuth), np.array(elevation))
        if (vectors @ vector < np.cos(apart)).all():
            found.append((azimuth, elevation))
            vectors = np.vstack([vectors, vector])
    return found


def unit_vector(azimuth: Floats, elevation: Floats) -> Floats:
    """Directions `(...)` in radians as vectors `(..., 3)` along x, y, z."""
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)
