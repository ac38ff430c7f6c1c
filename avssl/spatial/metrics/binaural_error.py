"""Interaural level, time and phase differences (ILD, ITD, IPD) of binaural audio, and their errors.

Positive means left is louder or earlier.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.spatial.binaural_cues import MAX_FREQUENCY, cross_spectrum, lag_steering, lags
from avssl.spatial.metrics.direction_error import energy_weighted_mean
from avssl.spatial.stft import StftConfig

SECONDS = 0.5
"""Length of a window in which interaural differences are compared."""
STFT_SECONDS = 0.032
"""Least length of the STFT windows."""
LAGS = 401
"""Candidate time differences, 5 microseconds apart."""
LIMIT_DB = 60.0
"""Largest level difference, that of a silent ear."""


class Interaural(NamedTuple):
    """Interaural differences, or the absolute errors of them."""

    level: Tensor
    """dB, `(...)`."""
    time: Tensor
    """Seconds, `(...)`, in -1..1 ms, from frequencies below 1.5 kHz."""
    phase: Tensor
    """Radians by which left leads, `(..., frequencies)`; as an error, the mean over frequency, `(...)`."""


def interaural_stft(sample_rate: int) -> StftConfig:
    """STFT parameters for interaural differences."""
    size = 1 << (round(STFT_SECONDS * sample_rate) - 1).bit_length()
    return StftConfig(size, size, size // 2, "none")


def interaural(binaural: Tensor, sample_rate: int) -> Interaural:
    """Interaural differences over a whole clip.

    Args:
        binaural: `(..., 2, samples)`, left and right.
        sample_rate: Hz.

    Returns:
        Level, time and phase; all 0 for silence.

    Raises:
        ValueError: not two channels, or shorter than 32 ms.
    """
    config = interaural_stft(sample_rate)
    return _differences(*_powers(binaural, config), config, sample_rate)


def interaural_error(predicted: Tensor, target: Tensor, sample_rate: int, seconds: float = SECONDS) -> Interaural:
    """Errors of interaural differences per window, averaged with the energy of the target as weight.

    Args:
        predicted: `(..., 2, samples)`.
        target: `(..., 2, samples)`.
        sample_rate: Hz.
        seconds: length of a window; an incomplete last window is ignored.

    Returns:
        Mean absolute differences `(...)`, that of phase over the frequencies below 1.5 kHz; nan where the target is
        silent.

    Raises:
        ValueError: shapes that differ, not two channels, or audio shorter than one window.
    """
    errors, energy = interaural_windows(predicted, target, sample_rate, seconds)
    return Interaural(*(energy_weighted_mean(values, energy) for values in errors))


def interaural_windows(
    predicted: Tensor, target: Tensor, sample_rate: int, seconds: float = SECONDS
) -> tuple[Interaural, Tensor]:
    """Absolute errors and energy of the target per window, each `(..., windows)`; see `interaural_error`."""
    size = round(seconds * sample_rate)
    if predicted.shape != target.shape or target.shape[-1] < size:
        raise ValueError(
            f"expected two clips (..., 2, {size} samples or more), got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )
    config = interaural_stft(sample_rate)
    powers, target_powers = (_powers(_windows(audio, size), config) for audio in (predicted, target))
    found, expected = (_differences(*each, config, sample_rate) for each in (powers, target_powers))
    difference = found.phase - expected.phase
    magnitude_F = (target_powers[1].square() + target_powers[2].square()).sqrt()
    weight_F = _below_max_frequency(config, sample_rate).to(difference) * magnitude_F
    phase = torch.atan2(difference.sin(), difference.cos()).abs()
    phase = (phase * weight_F).sum(-1) / weight_F.sum(-1).clamp(min=1e-30)
    errors = Interaural((found.level - expected.level).abs(), (found.time - expected.time).abs(), phase)
    return errors, target_powers[0].sum(-1)


def _windows(audio: Tensor, size: int) -> Tensor:
    return audio.unfold(-1, size, size).movedim(-2, -3)


def _powers(binaural: Tensor, config: StftConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Energy per ear `(..., 2)`, real and imaginary part of the cross spectrum `(..., F)`, summed over time."""
    if binaural.shape[-2] != 2:
        raise ValueError(f"expected binaural audio (..., 2, samples), got {tuple(binaural.shape)}")
    spectrum = config.stft(binaural).mT
    real, imag = cross_spectrum(spectrum.real, spectrum.imag)
    return spectrum.abs().square().sum((-2, -1)), real.sum(-2), imag.sum(-2)


def _differences(energy: Tensor, real: Tensor, imag: Tensor, config: StftConfig, sample_rate: int) -> Interaural:
    least = energy.amax(-1, keepdim=True) * 10 ** (-LIMIT_DB / 10) + 1e-30
    left, right = (10 * energy.clamp(min=least).log10()).unbind(-1)
    # The lag is chosen from a grid, without gradient.
    correlation = torch.cat([real, imag], -1).detach() @ _steering(config.n_fft, sample_rate).to(real)
    best = correlation.argmax(-1)
    time = torch.where(correlation.amax(-1) > 0, lags(LAGS).to(real)[best], 0.0)
    return Interaural(left - right, time, torch.atan2(imag, real + 0.0))


@lru_cache(maxsize=4)
def _steering(n_fft: int, sample_rate: int) -> Tensor:
    """Steering matrix of all candidate lags; cached, as it takes longer than all else for a window."""
    return lag_steering(lags(LAGS), n_fft, sample_rate)


def _below_max_frequency(config: StftConfig, sample_rate: int) -> Tensor:
    """Mask `(F,)` on the CPU: 1 for bins up to 1.5 kHz, 0 above."""
    return (torch.arange(config.bins) * sample_rate <= MAX_FREQUENCY * config.n_fft).float()
