"""A rigid sphere with two ears: head-related responses that need no file."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import eval_legendre, spherical_jn, spherical_yn
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import direction
from avssl.spatial.hrir import HrirSet

SPEED_OF_SOUND = 343.0
"""Metres a second."""
_SECONDS = 0.006
"""Length of the responses; what a sphere does is over in 2 ms."""
_LEAD = 0.0006
"""Seconds before the sound reaches the middle of the head; the nearer ear hears it up to 0.26 ms sooner."""
_PASSED = 0.8
"""Share of the band below half the sample rate that is left as it is; above, a fade keeps the ringing short."""
_STEP = 5
"""Degrees between the directions, and between the angles that the series is summed for."""


@lru_cache(maxsize=8)
def spherical_head(sample_rate: int, radius: float = 0.0875) -> HrirSet:
    """Responses at the two ends of a diameter of a rigid sphere, for plane waves.

    The exact series of Duda and Martens, "Range dependence of the response of a spherical head model", JASA 104(5),
    1998, for a source far away; ears at azimuth +90 (left) and -90 degrees. It has no ear flaps: front and back, up and
    down, sound alike.

    Args:
        sample_rate: Hz.
        radius: metres; 8.75 cm is the usual adult.

    Raises:
        ValueError: a rate or radius that is not positive.
    """
    if sample_rate < 1 or not 0 < radius < math.inf:
        raise InputError(f"a head has a sample rate and a radius above 0, not {sample_rate} Hz and {radius} m")
    directions = _grid()
    vectors = direction(*directions.unbind(-1))
    steps = torch.linspace(0, math.pi, 180 * 4 // _STEP + 1)
    table = _responses(steps.double().numpy(), sample_rate, radius)
    ears = [_looked_up(table, torch.acos((sign * vectors[:, 1]).clamp(-1, 1))) for sign in (1, -1)]
    return HrirSet(directions.float(), torch.stack(ears, 1), sample_rate)


def _grid() -> Tensor:
    """`(directions, 2)`: rings of equal steps, fewer towards the poles; alike left and right, front and back."""
    rings = []
    for degrees in range(-90, 91, _STEP):
        elevation = math.radians(degrees)
        count = 4 * math.ceil(90 / _STEP * math.cos(elevation) - 1e-6) or 1
        azimuth = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
        rings.append(torch.stack([azimuth, torch.full_like(azimuth, elevation)], -1))
    return torch.cat(rings)


def _looked_up(table: Tensor, angle: Tensor) -> Tensor:
    """Responses at angles from the ear."""
    place = (angle * ((len(table) - 1) / math.pi)).round().long()
    return table[place]


def _responses(angles: NDArray[np.float64], sample_rate: int, radius: float) -> Tensor:
    """float32 `(angles, taps)`: what an ear hears of a click from each angle off its axis."""
    taps = max(64, 2 * round(_SECONDS * sample_rate / 2))
    frequencies = np.arange(taps // 2 + 1) * sample_rate / taps
    # Physicists' sign exp(-i w t) in the series; a transform of signals wants its conjugate.
    spectrum = np.conj(pressure(angles, frequencies * 2 * np.pi * radius / SPEED_OF_SOUND))
    spectrum *= np.exp(-2j * np.pi * frequencies * _LEAD) * _fade(frequencies / (sample_rate / 2))
    return torch.from_numpy(np.fft.irfft(spectrum, taps).astype(np.float32))


def _fade(place: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cos(0.5 * np.pi * np.clip((place - _PASSED) / (1 - _PASSED), 0, 1)) ** 2)


def pressure(angles: NDArray[np.float64], wavenumbers: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Pressure on a rigid sphere in a plane wave, over that at its middle were it not there.

    Args:
        angles: `(angles,)` radians between the ear and where the wave comes from.
        wavenumbers: `(wavenumbers,)` times the radius: 2 pi frequency radius / speed of sound.

    Returns:
        `(angles, wavenumbers)`, for a time factor exp(-i w t).
    """
    ka = np.maximum(wavenumbers, 1e-3)
    total = np.zeros((len(angles), len(ka)), np.complex128)
    for order in range(math.ceil(1.3 * float(ka.max())) + 12):
        # h' overflows to infinity far above ka: the term is then 0, as it should.
        with np.errstate(over="ignore", invalid="ignore"):
            slope = spherical_jn(order, ka, True) + 1j * spherical_yn(order, ka, True)
            term = np.where(np.isfinite(slope), (-1j) ** (order - 1) * (2 * order + 1) / slope, 0)
        total += eval_legendre(order, np.cos(angles))[:, None] * term
    return np.asarray(total / ka**2)
