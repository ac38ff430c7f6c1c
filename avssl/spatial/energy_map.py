"""Energy maps: level of an ambisonic sound field by direction, and distances between maps."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import gains
from avssl.spatial.emd import earth_movers_distance, emd_hat, great_circle_distances
from avssl.spatial.spherical_harmonics import ambisonic_order

POINTS = 252
"""Directions of equal solid angle at which two sound fields are compared, 7 degrees apart."""
LEGACY_SCALE = math.sqrt(4800.0)
"""Factor on root mean squares over 0.1 s at 48 kHz in the tables of Morgado et al. 2018."""


class Emd(NamedTuple):
    """Distance between two energy maps."""

    degrees: float
    """Mean angle that a unit of mass is moved."""
    mass_ratio: float
    """Mass of the first map over that of the second: ratio of levels."""


def energy_map(foa: Tensor, height: int = 32, width: int = 64) -> Tensor:
    """Energy map of a clip in equirectangular projection.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        height: rows, from zenith to nadir.
        width: columns, the front in the centre, left on the left.

    Returns:
        `(..., height, width)`: root mean square over time of W + u · [Y, Z, X] at the pixel centres, twice the level of
        a plane wave in its direction and 0 behind.

    Raises:
        ValueError: not 4 channels.

    Example:
        >>> from avssl.spatial.ambisonics import encode
        >>> level = energy_map(encode(torch.randn(2400), azimuth=0.0, elevation=0.0), height=9, width=18)
        >>> divmod(int(level.argmax()), 18)[0]  # row of the horizon
        4
    """
    azimuth, elevation = equirectangular_grid(height, width)
    level = energy_towards(foa, azimuth.flatten(), elevation.flatten())
    return level.reshape(*level.shape[:-1], height, width)


def energy_towards(foa: Tensor, azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Root mean square over time of ambisonics `(..., 4, samples)` in directions `(directions,)`: `(..., directions)`.

    For a plane wave, its level times order plus 1 in its own direction; higher orders give narrower beams.

    Raises:
        ValueError: no order of 1 or more has this channel count.
    """
    order = ambisonic_order(foa)
    with torch.autocast(foa.device.type, enabled=False):
        # The covariance suffices, and is smaller than the beams: 16 numbers instead of `samples` per direction.
        covariance = foa @ foa.mT / foa.shape[-1]
        beam = gains(azimuth, elevation, order=order).to(foa)
        power = (beam @ covariance * beam).sum(-1)
    # Rounding can make silent directions negative; a root at 0 has no gradient.
    return power.clamp(min=torch.finfo(foa.dtype).tiny).sqrt()


def equirectangular_grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(height, width)`, of the pixel centres of a 360-degree frame."""
    column, row = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    elevation, azimuth = torch.meshgrid((0.5 - row) * math.pi, (1 - 2 * column) * math.pi, indexing="ij")
    return azimuth, elevation


def equal_area_grid(points: int) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(points,)`, of a Fibonacci lattice of equal solid angles."""
    index = torch.arange(points)
    elevation = torch.asin(1 - (2 * index + 1) / points)
    turns = index.double() * (math.sqrt(5) - 1) / 2
    return ((turns - turns.round()) * 2 * math.pi).float(), elevation


def emd(map: Tensor, other: Tensor) -> Emd:
    """Earth mover's distance between two energy maps normalised to a mass of 1, over great circles.

    For two single points, their angle. For two plane waves an angle `a` apart, 45 sin(a / 2) degrees, since first-order
    beams are wide: the difference of their maps is symmetric about one axis, and moves along meridians.

    Args:
        map: `(points,)`, as from `energy_towards` on `equal_area_grid(points)`; not negative.
        other: `(points,)` on the same grid.

    Returns:
        Degrees, and the ratio of the masses before normalisation.

    Raises:
        ValueError: maps of different shapes, without mass, or with negative values.
    """
    one, two = _masses(map), _masses(other)
    if one.shape != two.shape:
        raise ValueError(f"expected two maps on one grid, got {one.shape} and {two.shape} points")
    if not (one.sum() > 0 and two.sum() > 0):
        raise InputError("expected energy maps that are not silent in every direction, got a silent one")
    work = earth_movers_distance(one / one.sum(), two / two.sum(), _equal_area_ground(len(one)))
    return Emd(math.degrees(work), float(one.sum() / two.sum()))


def legacy_grid() -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(84,)`, of the grid of Morgado et al. 2018: every 30 degrees, each pole 12 times."""
    azimuth, elevation = torch.arange(12) * math.pi / 6 - math.pi, (torch.arange(7) - 3) * math.pi / 6
    elevation, azimuth = torch.meshgrid(elevation, azimuth, indexing="ij")
    return azimuth.flatten(), elevation.flatten()


def emd_legacy(map: Tensor, other: Tensor, scale: float = LEGACY_SCALE) -> float:
    """Earth mover's distance as published by Morgado et al. 2018, only to match their numbers.

    Masses are root mean squares over 84, not normalised to 1, on a grid that is denser at the poles; ground distances
    in radians; each unit of excess mass costs the largest distance.

    Args:
        map: `(84,)`, as from `energy_towards` on `legacy_grid()`.
        other: `(84,)` on the same grid.
        scale: 1 for the values of their program, the root of 4,800 for those of their tables.

    Raises:
        ValueError: maps of another size, or with negative values.
    """
    one, two = _masses(map), _masses(other)
    if one.shape != (84,) or two.shape != (84,):
        raise ValueError(f"expected maps of 84 points, got {one.shape} and {two.shape}")
    return scale * emd_hat(one / 84, two / 84, _legacy_ground())


def _masses(map: Tensor) -> NDArray[np.float64]:
    return map.detach().cpu().double().numpy()


@lru_cache(maxsize=1)
def _legacy_ground() -> NDArray[np.float64]:
    return great_circle_distances(*legacy_grid())


@lru_cache(maxsize=4)
def _equal_area_ground(points: int) -> NDArray[np.float64]:
    return great_circle_distances(*equal_area_grid(points))
