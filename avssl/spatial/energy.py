"""How loud a sound field is in every direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.spatial.ambisonics import gains, require_foa


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
    """
    azimuth, elevation = equirectangular_grid(height, width)
    level = energy_towards(foa, azimuth.flatten(), elevation.flatten())
    return level.reshape(*level.shape[:-1], height, width)


def energy_towards(foa: Tensor, azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Root mean square over time of a field `(..., 4, samples)` in directions `(directions,)`: `(..., directions)`.

    Raises:
        ValueError: not 4 channels.
    """
    require_foa(foa)
    with torch.autocast(foa.device.type, enabled=False):
        # The covariance says it all, and has 16 numbers where the beams have `samples` each.
        covariance = foa @ foa.mT / foa.shape[-1]
        beam = gains(azimuth, elevation).to(foa)
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
