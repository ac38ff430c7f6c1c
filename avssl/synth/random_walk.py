"""Random walks through a cube: sampled positions, interpolated in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Walk:
    """A way through the cube -1..1, straight from one drawn place to the next."""

    times: Floats
    """`(places,)`: seconds, ascending."""
    places: Floats
    """`(places, 3)`: to the right, down, towards the viewer."""

    def at(self, times: Floats) -> Floats:
        """Places `(..., 3)` at some instants `(...)`."""
        return np.stack([np.interp(times, self.times, axis) for axis in self.places.T], -1)


def draw_walk(rng: np.random.Generator, seconds: float, points: int, fraction: float, step: float) -> Walk:
    """A walk as MonoTo3D's scenes have it: independent along the three axes, turned back by the walls of the cube.

    Args:
        rng: where the randomness comes from.
        seconds: how long it lasts.
        points: number of positions, one for each frame.
        fraction: of these that are drawn, evenly spaced; the others are interpolated.
        step: largest step along an axis from one drawn place to the next.
    """
    count = max(2, round(fraction * points))
    start, steps = rng.uniform(-1, 1, (1, 3)), rng.uniform(-step, step, (count - 1, 3))
    free = np.concatenate([start, steps]).cumsum(0)
    # A walk between two mirrors is the free one, folded.
    folded = np.abs((free + 3) % 4 - 2) - 1
    return Walk(np.linspace(0, seconds, count), folded)
