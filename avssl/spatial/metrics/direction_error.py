"""Angle between where two sound fields come from, a moment at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.spatial.ambisonics import angle_between, band_covariance, field_direction, require_foa

SECONDS = 0.1
"""Length of a moment."""
LOW, HIGH = 150.0, 4000.0
"""Hz; below, walls dominate; above, first-order microphones alias."""
QUIET_DB = -60.0
"""Below the loudest moment of the reference: as good as silent."""
LOST = 90.0
"""Degrees between any direction and one drawn at random, on average: what a field without a direction is charged."""


def direction_error(foa: Tensor, reference: Tensor, sample_rate: int, seconds: float = SECONDS) -> Tensor:
    """Degrees between the active intensity vectors of two fields, weighted by the reference's energy.

    Moments in which the reference is silent or has no direction are left out; those in which only the other field has
    none count 90 degrees.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        reference: likewise.
        sample_rate: Hz.
        seconds: length of a moment; what remains at the end is left out.

    Returns:
        Degrees, `(...)`; nan where the reference never has a direction.

    Raises:
        ValueError: shapes that differ or are not those of a first-order field, or a sound shorter than one moment.
    """
    return weighted(*moments(foa, reference, sample_rate, seconds))


def moments(foa: Tensor, reference: Tensor, sample_rate: int, seconds: float = SECONDS) -> tuple[Tensor, Tensor]:
    """Degrees apart and the reference's energy in every moment, each `(..., moments)`; see `direction_error`."""
    require_foa(foa)
    size = round(seconds * sample_rate)
    if foa.shape != reference.shape or foa.shape[-1] < size:
        raise ValueError(
            f"expected two fields (..., 4, {size} samples or more), got {tuple(foa.shape)} and {tuple(reference.shape)}"
        )
    found, wanted = (_covariances(field, size, sample_rate) for field in (foa, reference))
    azimuth, elevation, _ = field_direction(found)
    true_azimuth, true_elevation, _ = field_direction(wanted)
    apart = angle_between(azimuth, elevation, true_azimuth, true_elevation).rad2deg()
    apart = torch.where(_directed(found), apart, LOST)
    energy = wanted.diagonal(dim1=-2, dim2=-1).sum(-1) * _directed(wanted)
    return apart, energy


def weighted(values: Tensor, energy: Tensor) -> Tensor:
    """Mean of values `(..., moments)` by energy, over the moments that are not quiet: `(...)`, nan where all are."""
    loud = energy > energy.amax(-1, keepdim=True) * 10 ** (QUIET_DB / 10)
    weight = energy * loud
    return torch.where(loud, values, 0.0).mul(weight).sum(-1) / torch.where(loud.any(-1), weight.sum(-1), math.nan)


def _covariances(foa: Tensor, size: int, sample_rate: int) -> Tensor:
    """Products of the channels within the band in every moment: `(..., moments, 4, 4)`."""
    windows = foa.unfold(-1, size, size).movedim(-2, -3)
    return band_covariance(windows, sample_rate, LOW, min(HIGH, sample_rate / 2))


def _directed(covariance: Tensor) -> Tensor:
    """Whether a field has an intensity that is more than rounding."""
    energy = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    length: Tensor = torch.linalg.vector_norm(covariance[..., 0, 1:], dim=-1)
    return length > 1e-6 * energy
