"""Patch layout of pseudo-binaural scenes: positions on the canvas without overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avssl.synth.canvas.compositing import Canvas
from avssl.synth.sources.source_pool import Appearance, Source, SourcePool

Floats = NDArray[np.float64]

MOST_SOURCES = 6
"""Sources of a scene."""
SHRINK = (0.8, 1.0)
"""Factor between the size of a patch and the largest possible one."""
HIGH = np.pi / 2
"""Height of the canvas as elevation, radians."""
CAST, PLACES, BACKDROP = range(3)
"""Independent random streams."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Somebody and their place."""

    actor: Source
    look: Appearance
    x: float
    """Horizontal position of the centre, pixels from the left edge."""
    y: float
    """Pixels from the top edge."""
    side: float
    """Side of the square, pixels."""
    azimuth: float
    """Radians."""
    elevation: float


@dataclass(frozen=True, eq=False)
class Arrangement:
    """All there is to know of a scene."""

    index: int
    patches: tuple[Patch, ...]
    backdrop: int
    """Seed of what is behind them."""

    @property
    def key(self) -> str:
        """Names the scene in its world."""
        return f"{self.index:05d}"


def read_counts(text: str) -> tuple[float, ...]:
    """Fractions of the scenes with one, two, ... sources, of a ratio such as 4:5:1; empty where it is none."""
    parts = text.split(":")
    if len(parts) > MOST_SOURCES or not all(each.isdecimal() and each.isascii() for each in parts):
        return ()
    weights = [int(each) for each in parts]
    return tuple(each / sum(weights) for each in weights) if 0 < sum(weights) < 1e9 else ()


def arrange(
    seed: int, index: int, company: SourcePool, form: Canvas, fov: float, by_loudness: bool, counts: Sequence[float]
) -> Arrangement:
    """Scene number `index` of the world `seed`.

    Args:
        seed: of the world.
        index: of the scene.
        company: whom the actors are drawn from.
        form: of the scene.
        fov: radians of azimuth that the canvas is wide.
        by_loudness: whether the louder a recording is, the smaller is its patch; as all are brought to one level, the
            loud ones are rendered as if from farther away.
        counts: fractions of the scenes with one, two, ... sources.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(3)]
    there = sum(company.kinds.values())
    count = min(1 + int(streams[CAST].choice(len(counts), p=counts)), there)
    actors = company.trio(streams[CAST], index, count, form)
    looks = [actor.appearance(form) for actor in actors]
    loud = np.array([actor.loudness(form) for actor in actors]) if by_loudness else np.ones(count)
    rng = streams[PLACES]
    sides = fitted(np.array([look.largest for look in looks]) * form.height, loud, form, rng.uniform(*SHRINK, count))
    x = side_by_side(rng, sides, form.width)
    y = sides / 2 + rng.random(count) * (form.height - sides)
    azimuth, elevation = (0.5 - x / form.width) * fov, (0.5 - y / form.height) * HIGH
    places = zip(actors, looks, *(each.tolist() for each in (x, y, sides, azimuth, elevation)), strict=True)
    return Arrangement(index, tuple(Patch(*place) for place in places), int(streams[BACKDROP].integers(2**31)))


def fitted(native: Floats, loudness: Floats, form: Canvas, shrink: Floats) -> Floats:
    """Sides of patches in pixels: `min(1 / loudness, height / side, width / 2 / side)` of their own, and less.

    Args:
        native: `(patches,)`: their own sides, pixels.
        loudness: `(patches,)`: 1 for the usual.
        form: of the canvas.
        shrink: `(patches,)`: multiplies them.

    Returns:
        `(patches,)`: together no wider than the canvas.
    """
    sides = np.minimum(native / loudness, min(form.height, form.width / 2)) * shrink
    return np.asarray(sides * min(1.0, form.width / sides.sum()))


def side_by_side(rng: np.random.Generator, sides: Floats, width: float) -> Floats:
    """Middles of patches that do not overlap, uniform over all ways to lay them, in an order that is random too.

    Args:
        rng: where the randomness comes from.
        sides: `(patches,)`: their widths; together no more than `width`.
        width: of the canvas.

    Returns:
        `(patches,)`.
    """
    order = rng.permutation(len(sides))
    gaps = np.sort(rng.uniform(0, max(0.0, width - sides.sum()), len(sides)))
    ordered = sides[order]
    middles = np.empty(len(sides))
    middles[order] = gaps + ordered.cumsum() - ordered / 2
    return middles
