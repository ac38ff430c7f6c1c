"""Direction-of-arrival error between two ambisonic sound fields, per time window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.spatial.ambisonics import angle_between, band_covariance, field_direction, require_foa

SECONDS = 0.1
"""Length of a window."""
LOW, HIGH = 150.0, 4000.0
"""Hz; frequency band: below, room reflections dominate; above, first-order microphones alias."""
SILENCE_DB = -60.0
"""Level below the loudest window of the reference that counts as silence."""
UNDEFINED_ERROR = 90.0
"""Degrees; error of a field without direction: the mean angle to a random direction."""


def direction_error(foa: Tensor, reference: Tensor, sample_rate: int, seconds: float = SECONDS) -> Tensor:
    """Angle between the active intensity vectors of two fields, averaged with the energy of the reference as weight.

    Windows where the reference is silent or has no direction are ignored; where only the other field has none, the
    error is 90 degrees.

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X.
        reference: `(..., 4, samples)`, of the same convention.
        sample_rate: Hz.
        seconds: length of a window; an incomplete last window is ignored.

    Returns:
        Degrees, `(...)`; nan where the reference never has a direction.

    Raises:
        ValueError: shapes that differ or are not `(..., 4, samples)`, or audio shorter than one window.
    """
    return energy_weighted_mean(*window_errors(foa, reference, sample_rate, seconds))


def window_errors(foa: Tensor, reference: Tensor, sample_rate: int, seconds: float = SECONDS) -> tuple[Tensor, Tensor]:
    """Error in degrees and energy of the reference per window, each `(..., windows)`; see `direction_error`."""
    require_foa(foa)
    size = round(seconds * sample_rate)
    if foa.shape != reference.shape or foa.shape[-1] < size:
        raise ValueError(
            f"expected two clips (..., 4, {size} samples or more), got {tuple(foa.shape)} and {tuple(reference.shape)}"
        )
    found, expected = (_covariances(each, size, sample_rate) for each in (foa, reference))
    azimuth, elevation, _ = field_direction(found)
    true_azimuth, true_elevation, _ = field_direction(expected)
    error = angle_between(azimuth, elevation, true_azimuth, true_elevation).rad2deg()
    error = torch.where(_has_direction(found), error, UNDEFINED_ERROR)
    energy = expected.diagonal(dim1=-2, dim2=-1).sum(-1) * _has_direction(expected)
    return error, energy


def energy_weighted_mean(values: Tensor, energy: Tensor) -> Tensor:
    """Energy-weighted mean of values `(..., windows)` over windows that are not silent: `(...)`, nan if all are."""
    loud = energy > energy.amax(-1, keepdim=True) * 10 ** (SILENCE_DB / 10)
    weight = energy * loud
    return torch.where(loud, values, 0.0).mul(weight).sum(-1) / torch.where(loud.any(-1), weight.sum(-1), math.nan)


def _covariances(foa: Tensor, size: int, sample_rate: int) -> Tensor:
    """Band-limited channel covariance per window: `(..., windows, 4, 4)`."""
    windows = foa.unfold(-1, size, size).movedim(-2, -3)
    return band_covariance(windows, sample_rate, LOW, min(HIGH, sample_rate / 2))


def _has_direction(covariance: Tensor) -> Tensor:
    """Whether the intensity exceeds rounding errors."""
    energy = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)
    length: Tensor = torch.linalg.vector_norm(covariance[..., 0, 1:], dim=-1)
    return length > 1e-6 * energy
