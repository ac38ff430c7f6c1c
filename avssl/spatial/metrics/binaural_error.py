"""What two ears are given to tell a direction, and how far two sounds are apart in it: level, time and phase.

Positive means left: louder, or earlier, there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.spatial.binaural_cues import HIGHEST, cross_spectrum, lag_steering, lags
from avssl.spatial.metrics.direction_error import weighted
from avssl.spatial.stft import StftConfig

SECONDS = 0.5
"""Length of a moment when differences of two sounds are compared."""
WINDOW = 0.032
"""Seconds, at least, of the spectra that they are read from."""
LAGS = 401
"""Times compared, 5 microseconds apart."""
LIMIT_DB = 60.0
"""Of level differences: a silent ear is this much below the other."""


class Interaural(NamedTuple):
    """Differences between a left and a right ear, or how far two sounds are apart in them."""

    level: Tensor
    """dB, `(...)`."""
    time: Tensor
    """Seconds, `(...)`, from -1 to 1 ms, of what lies below 1.5 kHz."""
    phase: Tensor
    """Radians by which left leads, `(..., frequencies)`; between two sounds the mean of what they differ, `(...)`."""


def spectrum_for(sample_rate: int) -> StftConfig:
    """The windows that differences between ears are read from."""
    size = 1 << (round(WINDOW * sample_rate) - 1).bit_length()
    return StftConfig(size, size, size // 2, "none")


def interaural(binaural: Tensor, sample_rate: int) -> Interaural:
    """Differences between two ears over a whole sound.

    Args:
        binaural: `(..., 2, samples)`, left and right.
        sample_rate: Hz.

    Returns:
        Level, time and phase; all 0 for silence.

    Raises:
        ValueError: not two channels, or shorter than 32 ms.
    """
    config = spectrum_for(sample_rate)
    return _differences(*_powers(binaural, config), config, sample_rate)


def interaural_error(predicted: Tensor, target: Tensor, sample_rate: int, seconds: float = SECONDS) -> Interaural:
    """How far two sounds are apart in their differences between the ears, moment by moment, by the target's energy.

    Args:
        predicted: `(..., 2, samples)`.
        target: likewise.
        sample_rate: Hz.
        seconds: length of a moment; what remains at the end is left out.

    Returns:
        Mean absolute differences `(...)`, that of phase over the frequencies below 1.5 kHz; nan where the target is
        silent.

    Raises:
        ValueError: shapes that differ, not two channels, or a sound shorter than one moment.
    """
    apart, energy = interaural_moments(predicted, target, sample_rate, seconds)
    return Interaural(*(weighted(values, energy) for values in apart))


def interaural_moments(
    predicted: Tensor, target: Tensor, sample_rate: int, seconds: float = SECONDS
) -> tuple[Interaural, Tensor]:
    """Absolute differences and the target's energy in every moment, each `(..., moments)`; see `interaural_error`."""
    size = round(seconds * sample_rate)
    if predicted.shape != target.shape or target.shape[-1] < size:
        raise ValueError(
            f"expected two sounds (..., 2, {size} samples or more), got {tuple(predicted.shape)} and "
            f"{tuple(target.shape)}"
        )
    config = spectrum_for(sample_rate)
    one, other = (_powers(_cut(audio, size), config) for audio in (predicted, target))
    found, wanted = (_differences(*each, config, sample_rate) for each in (one, other))
    turn = found.phase - wanted.phase
    weight_F = _below(config, sample_rate).to(turn) * (other[1].square() + other[2].square()).sqrt()
    phase = torch.atan2(turn.sin(), turn.cos()).abs()
    phase = (phase * weight_F).sum(-1) / weight_F.sum(-1).clamp(min=1e-30)
    apart = Interaural((found.level - wanted.level).abs(), (found.time - wanted.time).abs(), phase)
    return apart, other[0].sum(-1)


def _cut(audio: Tensor, size: int) -> Tensor:
    return audio.unfold(-1, size, size).movedim(-2, -3)


def _powers(binaural: Tensor, config: StftConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Energy of the ears `(..., 2)`, and real and imaginary part of their cross spectrum `(..., F)`, over all time."""
    if binaural.shape[-2] != 2:
        raise ValueError(f"expected sound of two ears, (..., 2, samples), got {tuple(binaural.shape)}")
    spectrum = config.stft(binaural).mT
    real, imag = cross_spectrum(spectrum.real, spectrum.imag)
    return spectrum.abs().square().sum((-2, -1)), real.sum(-2), imag.sum(-2)


def _differences(energy: Tensor, real: Tensor, imag: Tensor, config: StftConfig, sample_rate: int) -> Interaural:
    least = energy.amax(-1, keepdim=True) * 10 ** (-LIMIT_DB / 10) + 1e-30
    left, right = (10 * energy.clamp(min=least).log10()).unbind(-1)
    # A lag of a grid has no gradient.
    correlation = torch.cat([real, imag], -1).detach() @ _steering(config.n_fft, sample_rate).to(real)
    best = correlation.argmax(-1)
    time = torch.where(correlation.amax(-1) > 0, lags(LAGS).to(real)[best], 0.0)
    return Interaural(left - right, time, torch.atan2(imag, real + 0.0))


@lru_cache(maxsize=4)
def _steering(n_fft: int, sample_rate: int) -> Tensor:
    """Of every lag compared: more work than everything else about a moment."""
    return lag_steering(lags(LAGS), n_fft, sample_rate)


def _below(config: StftConfig, sample_rate: int) -> Tensor:
    """1 for the bins up to 1.5 kHz and 0 above, `(F,)` on the CPU."""
    return (torch.arange(config.bins) * sample_rate <= HIGHEST * config.n_fft).float()
