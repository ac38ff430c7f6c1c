"""What two ears tell apart: differences of level, phase and time between a left and a right channel.

Positive means left throughout: louder on the left, or earlier there, so that left leads. Exchanging the channels
negates differences of level and phase and reverses the axis of lags. Everything starts from the real and the imaginary
part of one short-time spectrum, channels left and right, and has a gradient where a channel is silent too.
"""

# T time, F frequency, M mel band, N lags

from __future__ import annotations

import math

import torch
from torch import Tensor

MOST_LAG = 1e-3
"""Seconds; a head's own are at most 0.8 ms."""
HIGHEST = 1500.0
"""Hz up to which time is compared: above it periods are shorter than a head's own lags (the duplex theory), and lossy
codecs keep one phase for both channels, which whitening would make a peak at 0."""
# Relative to the mean over a sound: what is quieter by this much counts as silent.
QUIET = 1e-6
_TINY = 1e-36


def cross_spectrum(real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """Left times the conjugate of right, whose phase grows with frequency where left leads.

    Args:
        real: `(..., 2, T, F)`.
        imag: likewise.

    Returns:
        Real and imaginary part, each `(..., T, F)`.
    """
    (left, right), (left_imag, right_imag) = real.unbind(-3), imag.unbind(-3)
    return left * right + left_imag * right_imag, left_imag * right - left * right_imag


def level_difference(energy: Tensor) -> Tensor:
    """Level of the left above the right channel in bels: 1 is 10 dB; 0 where both are silent.

    Args:
        energy: of each band, `(..., 2, T, M)`.

    Returns:
        `(..., T, M)`; a silent channel is some 6 bels below.
    """
    floor = QUIET * energy.mean((-3, -2, -1), keepdim=True) + _TINY
    left, right = (energy + floor).log10().unbind(-3)
    return left - right


def phase_difference(cross_real: Tensor, cross_imag: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Sine and cosine of the phase by which left leads in each band, times the coherence of the two channels.

    Length 1 where one delay and one gain tell the channels apart, as far as the phase is the same all over the band;
    0 where nothing is heard in common. Gains change nothing.

    Args:
        cross_real: of the cross spectrum summed into bands, `(..., T, M)`.
        cross_imag: likewise.
        energy: summed into the same bands, `(..., 2, T, M)`.

    Returns:
        Each `(..., T, M)`.
    """
    left, right = (energy + _TINY).sqrt().unbind(-3)
    common = left * right
    scale = 1 / (common + QUIET * common.mean((-2, -1), keepdim=True) + 1e-30)
    return cross_imag * scale, cross_real * scale


def gcc_phat(cross_real: Tensor, cross_imag: Tensor, steering: Tensor) -> Tensor:
    """Generalised cross-correlation with phase transform (Knapp & Carter 1976), an instant at a time.

    Args:
        cross_real: of the cross spectrum, `(..., T, F)`.
        cross_imag: likewise.
        steering: from `lag_steering`, `(2 F, N)`.

    Returns:
        `(..., T, N)` in -1..1: 1 at the one lag of a pure delay.
    """
    modulus = (cross_real.square() + cross_imag.square() + _TINY).sqrt()
    scale = 1 / (modulus + QUIET * modulus.mean((-2, -1), keepdim=True))
    return torch.cat([cross_real * scale, cross_imag * scale], -1) @ steering


def lags(count: int, most: float = MOST_LAG) -> Tensor:
    """Seconds by which left leads, `(count,)`: evenly from `-most` to `most`, so that an exchange reverses them."""
    return torch.linspace(-most, most, count)


def lag_steering(seconds: Tensor, n_fft: int, sample_rate: int, highest: float = HIGHEST) -> Tensor:
    """Inverse Fourier transform from the one-sided bins of a window to any lags.

    Args:
        seconds: lags, `(N,)`.
        n_fft: samples of the window.
        sample_rate: Hz.
        highest: Hz; what lies above has no weight.

    Returns:
        `(2 F, N)`: rows for the real parts of all bins, then for the imaginary ones; the mean over positive and
        negative frequencies.
    """
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64, device=seconds.device)
    times = torch.where((bins == 0) | (2 * bins == n_fft), 1.0, 2.0) * (bins * sample_rate <= highest * n_fft)
    weight = (times / times.sum())[:, None]
    angle = 2 * math.pi * (bins * sample_rate / n_fft)[:, None] * seconds.double()
    return torch.cat([weight * angle.cos(), weight * angle.sin()]).float()
