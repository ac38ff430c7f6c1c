"""Binaural cues: interaural level, phase and time differences (ILD, IPD, GCC-PHAT) of left and right channel.

Positive means left throughout: louder or earlier on the left. Swapping the channels negates level and phase
differences and reverses the lag axis. Inputs are real and imaginary part of one stereo spectrogram; gradients exist for
silent channels too.
"""

# T time, F frequency, M mel band, N lags

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_LAG = 1e-3
"""Seconds; interaural time differences are at most 0.8 ms."""
MAX_FREQUENCY = 1500.0
"""Hz; limit of time differences: above it, periods are shorter than interaural lags (duplex theory), and lossy codecs
use one phase for both channels, which whitening would turn into a peak at 0."""
SILENCE = 1e-6
"""Energy relative to the mean over a clip below which a bin counts as silent."""
_TINY = 1e-36


def cross_spectrum(real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """Cross spectrum, left times the conjugate of right; its phase grows with frequency where left leads.

    Args:
        real: real part `(..., 2, T, F)`.
        imag: imaginary part `(..., 2, T, F)`.

    Returns:
        Real and imaginary part, each `(..., T, F)`.
    """
    (left, right), (left_imag, right_imag) = real.unbind(-3), imag.unbind(-3)
    return left * right + left_imag * right_imag, left_imag * right - left * right_imag


def level_difference(energy: Tensor) -> Tensor:
    """Interaural level difference, left over right, in bels: 1 is 10 dB; 0 where both are silent.

    Args:
        energy: energy of each band, `(..., 2, T, M)`.

    Returns:
        `(..., T, M)`, up to about 6 bels for one silent channel.
    """
    floor = SILENCE * energy.mean((-3, -2, -1), keepdim=True) + _TINY
    left, right = (energy + floor).log10().unbind(-3)
    return left - right


def phase_difference(cross_real: Tensor, cross_imag: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Sine and cosine of the interaural phase difference in each band, times the coherence of the two channels.

    Length 1 where the channels differ by a delay and a gain only, as far as the phase is constant in the band; 0 for
    incoherent channels. Independent of gains.

    Args:
        cross_real: real part of the cross spectrum summed into bands, `(..., T, M)`.
        cross_imag: imaginary part, `(..., T, M)`.
        energy: energy summed into the same bands, `(..., 2, T, M)`.

    Returns:
        Each `(..., T, M)`.
    """
    left, right = (energy + _TINY).sqrt().unbind(-3)
    common = left * right
    scale = 1 / (common + SILENCE * common.mean((-2, -1), keepdim=True) + 1e-30)
    return cross_imag * scale, cross_real * scale


def gcc_phat(cross_real: Tensor, cross_imag: Tensor, steering: Tensor) -> Tensor:
    """Generalised cross-correlation with phase transform (GCC-PHAT, Knapp & Carter 1976), per time frame.

    Args:
        cross_real: real part of the cross spectrum, `(..., T, F)`.
        cross_imag: imaginary part, `(..., T, F)`.
        steering: from `lag_steering`, `(2 F, N)`.

    Returns:
        `(..., T, N)` in -1..1: 1 at the lag of a pure delay.
    """
    modulus = (cross_real.square() + cross_imag.square() + _TINY).sqrt()
    scale = 1 / (modulus + SILENCE * modulus.mean((-2, -1), keepdim=True))
    return torch.cat([cross_real * scale, cross_imag * scale], -1) @ steering


def lags(count: int, max_lag: float = MAX_LAG) -> Tensor:
    """Lags in seconds by which left leads, `(count,)`: evenly spaced from `-max_lag` to `max_lag`."""
    return torch.linspace(-max_lag, max_lag, count)


def lag_steering(seconds: Tensor, n_fft: int, sample_rate: int, max_frequency: float = MAX_FREQUENCY) -> Tensor:
    """Matrix of the inverse Fourier transform from the one-sided bins of a window to given lags.

    Args:
        seconds: lags, `(N,)`.
        n_fft: samples of the window.
        sample_rate: Hz.
        max_frequency: Hz; bins above have no weight.

    Returns:
        `(2 F, N)`: rows for the real parts of all bins, then for the imaginary parts; the mean over positive
        and negative frequencies.
    """
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64, device=seconds.device)
    count = torch.where((bins == 0) | (2 * bins == n_fft), 1.0, 2.0) * (bins * sample_rate <= max_frequency * n_fft)
    weight = (count / count.sum())[:, None]
    angle = 2 * math.pi * (bins * sample_rate / n_fft)[:, None] * seconds.double()
    return torch.cat([weight * angle.cos(), weight * angle.sin()]).float()
