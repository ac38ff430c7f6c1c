"""Spherical head model: HRIRs of a rigid sphere, without measurements."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import direction
from avssl.spatial.hrir import HrirSet

SPEED_OF_SOUND = 343.0
"""Metres per second."""
_SECONDS = 0.006
"""Length of the responses; those of a sphere decay within 2 ms."""
_LEAD = 0.0006
"""Seconds; time of arrival at the head centre. The nearer ear is up to 0.26 ms earlier."""
_PASSBAND = 0.8
"""Fraction of the band below half the sample rate that is unchanged; a fade-out above it keeps the ringing short."""
_STEP = 5
"""Degrees between directions, and between the incidence angles at which the series is evaluated."""


@lru_cache(maxsize=8)
def spherical_head(sample_rate: int, radius: float = 0.0875) -> HrirSet:
    """HRIRs of a rigid sphere with the ears at both ends of a diameter, for plane waves.

    The exact series of Duda and Martens, "Range dependence of the response of a spherical head model", JASA 104(5),
    1998, for a far source; ears at azimuth +90 (left) and -90 degrees. Without pinnae, front and back, up and down are
    equal.

    Args:
        sample_rate: Hz.
        radius: metres; 8.75 cm is that of an average adult.

    Raises:
        ValueError: sample rate or radius not positive.
    """
    if sample_rate < 1 or not 0 < radius < math.inf:
        raise InputError(f"expected a positive sample rate and head radius, got {sample_rate} Hz and {radius} m")
    directions = _grid()
    vectors = direction(*directions.unbind(-1))
    incidence = torch.linspace(0, math.pi, 180 * 4 // _STEP + 1)
    table = _responses(incidence.double().numpy(), sample_rate, radius)
    ears = [_lookup(table, torch.acos((sign * vectors[:, 1]).clamp(-1, 1))) for sign in (1, -1)]
    return HrirSet(directions.float(), torch.stack(ears, 1), sample_rate)


def _grid() -> Tensor:
    """`(directions, 2)`: rings of equal elevation, sparser towards the poles; symmetric left-right and front-back."""
    rings = []
    for degrees in range(-90, 91, _STEP):
        elevation = math.radians(degrees)
        count = 4 * math.ceil(90 / _STEP * math.cos(elevation) - 1e-6) or 1
        azimuth = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        rings.append(torch.stack([azimuth, torch.full_like(azimuth, elevation)], -1))
    return torch.cat(rings)


def _lookup(table: Tensor, angle: Tensor) -> Tensor:
    """Responses at incidence angles from the ear axis, nearest in the table."""
    index = (angle * ((len(table) - 1) / math.pi)).round().long()
    return table[index]


def _responses(angles: NDArray[np.float64], sample_rate: int, radius: float) -> Tensor:
    """float32 `(angles, taps)`: impulse response at an ear for each incidence angle off its axis."""
    taps = max(64, 2 * round(_SECONDS * sample_rate / 2))
    frequencies = np.arange(taps // 2 + 1) * sample_rate / taps
    # The series has the time factor exp(-i w t); the discrete Fourier transform has its conjugate.
    spectrum = np.conj(pressure(angles, frequencies * 2 * np.pi * radius / SPEED_OF_SOUND))
    spectrum *= np.exp(-2j * np.pi * frequencies * _LEAD) * _fade(frequencies / (sample_rate / 2))
    return torch.from_numpy(np.fft.irfft(spectrum, taps).astype(np.float32))


def _fade(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cos(0.5 * np.pi * np.clip((fraction - _PASSBAND) / (1 - _PASSBAND), 0, 1)) ** 2)


def pressure(angles: NDArray[np.float64], wavenumbers: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Pressure on a rigid sphere in a plane wave, relative to free-field pressure at its centre.

    Args:
        angles: `(angles,)` radians between the ear axis and the direction of arrival.
        wavenumbers: `(wavenumbers,)` k r = 2 pi frequency radius / speed of sound.

    Returns:
        `(angles, wavenumbers)`, for a time factor exp(-i w t).
    """
    ka = np.maximum(wavenumbers, 1e-3)
    total = np.zeros((len(angles), len(ka)), np.complex128)
    for order in range(math.ceil(1.3 * float(ka.max())) + 12):
        # For orders far above ka, h' overflows to infinity; the term tends to 0.
        with np.errstate(over="ignore", invalid="ignore"):
            derivative = scipy.special.spherical_jn(order, ka, True) + 1j * scipy.special.spherical_yn(order, ka, True)
            term = np.where(np.isfinite(derivative), (-1j) ** (order - 1) * (2 * order + 1) / derivative, 0)
        total += scipy.special.eval_legendre(order, np.cos(angles))[:, None] * term
    return np.asarray(total / ka**2)
