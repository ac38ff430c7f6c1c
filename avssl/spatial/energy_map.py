"""How loud a sound field is in every direction."""

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
from avssl.spatial.emd import earth_movers_distance, great_circles, least_work_with_penalty
from avssl.spatial.spherical_harmonics import ambisonic_order

POINTS = 252
"""Directions in which two fields are compared, each for the same solid angle: 7 degrees to the next."""
LEGACY_SCALE = math.sqrt(4800.0)
"""By which the tables of Morgado et al. 2018 multiply root mean squares over 0.1 s at 48 kHz."""


class Emd(NamedTuple):
    """How far two energy maps are apart."""

    degrees: float
    """Mean angle that a unit of the mass has to move."""
    mass_ratio: float
    """Mass of the first map over that of the second: how much louder it is."""


def energy_map(foa: Tensor, height: int = 32, width: int = 64) -> Tensor:
    """Loudness of a clip over the sphere, drawn as an equirectangular picture.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        height: rows of the map, from straight up to straight down.
        width: columns of the map, the front in the middle, left on the left.

    Returns:
        `(..., height, width)`: root mean square over time of W + u · [Y, Z, X] at the pixel centres, twice the level of
        a plane wave where it comes from and 0 behind.

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
    """Root mean square over time of a field `(..., 4, samples)` in directions `(directions,)`: `(..., directions)`.

    A field of higher order is as loud where a plane wave comes from, times its order plus 1, and less beside it.

    Raises:
        ValueError: no order has so many channels.
    """
    order = ambisonic_order(foa)
    with torch.autocast(foa.device.type, enabled=False):
        # The covariance says it all, and has 16 numbers where the beams have `samples` each.
        covariance = foa @ foa.mT / foa.shape[-1]
        beam = gains(azimuth, elevation, order=order).to(foa)
        power = (beam @ covariance * beam).sum(-1)
    # Rounding can leave a direction without sound below 0; a root at 0 has no gradient.
    return power.clamp(min=torch.finfo(foa.dtype).tiny).sqrt()


def equirectangular_grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(height, width)`, of the pixel centres of a 360-degree frame."""
    column, row = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    elevation, azimuth = torch.meshgrid((0.5 - row) * math.pi, (1 - 2 * column) * math.pi, indexing="ij")
    return azimuth, elevation


def equal_area_grid(points: int) -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(points,)`, of a Fibonacci lattice: each point stands for the same solid angle."""
    index = torch.arange(points)
    elevation = torch.asin(1 - (2 * index + 1) / points)
    turns = index.double() * (math.sqrt(5) - 1) / 2
    return ((turns - turns.round()) * 2 * math.pi).float(), elevation


def emd(map: Tensor, other: Tensor) -> Emd:
    """Earth mover's distance between two energy maps, each scaled to a mass of 1, over great circles.

    Two single points are their angle apart. Two plane waves an angle `a` apart are 45 sin(a / 2) degrees apart, since
    first-order beams are wide: the difference of their maps is symmetric about one axis, and moves along meridians.

    Args:
        map: `(points,)`, such as `energy_towards` gives on `equal_area_grid(points)`; not negative.
        other: likewise.

    Returns:
        Degrees, and the ratio of what the masses were before.

    Raises:
        ValueError: maps of different shapes, or without any mass, or with negative values.
    """
    one, two = _masses(map), _masses(other)
    if one.shape != two.shape:
        raise ValueError(f"expected two maps on one grid, got {one.shape} and {two.shape} points")
    if not (one.sum() > 0 and two.sum() > 0):
        raise InputError("a map that is silent in every direction has no distance from another")
    work = earth_movers_distance(one / one.sum(), two / two.sum(), _equal_area_ground(len(one)))
    return Emd(math.degrees(work), float(one.sum() / two.sum()))


def legacy_grid() -> tuple[Tensor, Tensor]:
    """Azimuth and elevation, each `(84,)`, of the grid of Morgado et al. 2018: each 30 degrees, both poles 12 times."""
    azimuth, elevation = torch.arange(12) * math.pi / 6 - math.pi, (torch.arange(7) - 3) * math.pi / 6
    up, across = torch.meshgrid(elevation, azimuth, indexing="ij")
    return across.flatten(), up.flatten()


def emd_legacy(map: Tensor, other: Tensor, scale: float = LEGACY_SCALE) -> float:
    """Earth mover's distance as Morgado et al. 2018 print it, to match their numbers only.

    Masses are root mean squares over 84, not scaled to 1, on a grid that crowds at the poles; ground in radians; each
    unit that one map has more costs as much as the longest way.

    Args:
        map: `(84,)`, such as `energy_towards` gives on `legacy_grid()`.
        other: likewise.
        scale: 1 for what their program measures, the root of 4,800 for what their tables print.

    Raises:
        ValueError: maps of another size, or with negative values.
    """
    one, two = _masses(map), _masses(other)
    if one.shape != (84,) or two.shape != (84,):
        raise ValueError(f"the published grid has 84 points, these maps have {one.shape} and {two.shape}")
    return scale * least_work_with_penalty(one / 84, two / 84, _legacy_ground())


def _masses(map: Tensor) -> NDArray[np.float64]:
    return map.detach().cpu().double().numpy()


@lru_cache(maxsize=1)
def _legacy_ground() -> NDArray[np.float64]:
    return great_circles(*legacy_grid())


@lru_cache(maxsize=4)
def _equal_area_ground(points: int) -> NDArray[np.float64]:
    return great_circles(*equal_area_grid(points))
