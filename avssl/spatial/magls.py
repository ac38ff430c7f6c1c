"""A first-order sound field to two ears."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from avssl.errors import InputError
from avssl.spatial.ambisonics import gains, require_foa
from avssl.spatial.arrival import arrivals
from avssl.spatial.energy_map import equal_area_grid
from avssl.spatial.hrir import HrirSet

_POINTS = 500
"""Directions that the filters are fitted to, and as many mirrored ones: the fit favours no side."""
_ALIASED = 624.0
"""Hz up to which order 1 describes a field as wide as a head: k r = 1 at r = 8.75 cm."""
_BLOCK = 2048


def ambisonic_filters(hrirs: HrirSet, method: str = "magls") -> Tensor:
    """Filters from W, Y, Z, X (ambiX, SN3D) to the two ears of a listener.

    Args:
        hrirs: of the listener.
        method: "plain" fits the responses by least squares; above 624 Hz four channels cannot, and what is lost is lost
            in level. "magls" fits their magnitudes there and lets the phase go on smoothly: Schörkhuber, Zaunschirm,
            Höldrich, "Binaural rendering of Ambisonic signals via magnitude least squares", DAGA 2018.

    Returns:
        float32 `(2, 4, taps)`: left, right.

    Raises:
        ValueError: another method.
    """
    if method not in ("magls", "plain"):
        raise InputError(f"a method to hear a field with two ears is 'magls' or 'plain', not {method!r}")
    azimuth, elevation = equal_area_grid(_POINTS)
    azimuth, elevation = torch.cat([azimuth, -azimuth]), elevation.repeat(2)
    wanted, fit = hrirs.between.responses(azimuth, elevation), gains(azimuth, elevation).double()
    inverse = torch.linalg.pinv(fit)
    plain = torch.einsum("cp,pet->ect", inverse, wanted.double())
    return (plain if method == "plain" else _with_magnitudes(plain, wanted, fit, inverse, hrirs.sample_rate)).float()


def _with_magnitudes(plain: Tensor, wanted: Tensor, fit: Tensor, inverse: Tensor, sample_rate: int) -> Tensor:
    """Plain filters `(2, 4, taps)` that have the wanted magnitudes `(points, 2, taps)` where they cannot have more."""
    taps = plain.shape[-1]
    size = 4 << (taps - 1).bit_length()
    frequency = torch.fft.rfftfreq(size, 1 / sample_rate).double()
    # Without the way to the ear a phase that stays as it is has the right delay.
    late = torch.polar(
        torch.ones(2, 1).double(), 2 * math.pi / sample_rate * frequency * _mean_arrival(wanted)[:, None]
    )
    filters = torch.fft.rfft(plain, size) * late[:, None]
    loud = torch.fft.rfft(wanted.double(), size).abs()
    fit, inverse = fit.to(filters.dtype), inverse.to(filters.dtype)
    for bin in range(max(1, math.ceil(_ALIASED / sample_rate * size)), len(frequency)):
        phase = torch.einsum("pc,ec->pe", fit, filters[..., bin - 1]).angle()
        filters[..., bin] = torch.einsum("cp,pe->ec", inverse, torch.polar(loud[..., bin], phase))
    return _cut(torch.fft.irfft(filters * late[:, None].conj(), size), taps)


def _mean_arrival(responses: Tensor) -> Tensor:
    return arrivals(responses).double().mean(0)


def _cut(filters: Tensor, taps: int) -> Tensor:
    """The first taps, the last of them faded out."""
    fade = filters.new_ones(taps)
    end = min(16, taps // 4)
    fade[taps - end :] = torch.cos(torch.linspace(0, 0.5 * math.pi, end).to(filters)).square()
    return filters[..., :taps] * fade


def to_binaural(foa: Tensor, filters: Tensor) -> Tensor:
    """What two ears hear of a sound field: full convolution cut to the field's length, block by block (overlap-save).

    Args:
        foa: `(..., 4, samples)`, ambiX order W, Y, Z, X, at the rate of the filters.
        filters: `(2, 4, taps)`, such as `ambisonic_filters` gives.

    Returns:
        `(..., 2, samples)`: left, right.

    Raises:
        ValueError: not 4 channels, or filters of another shape.
    """
    require_foa(foa)
    if filters.ndim != 3 or filters.shape[:2] != (2, 4):
        raise ValueError(f"filters to two ears have shape (2, 4, taps), these have {tuple(filters.shape)}")
    samples, taps = foa.shape[-1], filters.shape[-1]
    size = max(_BLOCK, 4 << (taps - 1).bit_length())
    step = size - taps + 1
    blocks = pad(foa, (taps - 1, -samples % step)).unfold(-1, size, step)
    # B ear, C channel, N block, F frequency
    field_CNF = torch.fft.rfft(blocks)
    filters_BCF = torch.fft.rfft(filters.to(foa), size)
    heard: Tensor = torch.fft.irfft((field_CNF.unsqueeze(-4) * filters_BCF.unsqueeze(-2)).sum(-3), size)
    return heard[..., taps - 1 :].flatten(-2)[..., :samples]
