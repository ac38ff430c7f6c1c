"""Ambience layers: continuous noise, diffuse or from about one direction.

A bed is the limit of infinitely many plane waves that know nothing of one another: Gaussian noise whose channels have
the covariance of the directions that it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

from avssl.spatial.ambisonics import direction
from avssl.spatial.energy_map import equal_area_grid
from avssl.spatial.spherical_harmonics import channel_count, spherical_harmonics

Floats = NDArray[np.float64]
Audio = NDArray[np.float32]

FADE = 0.1
"""Length of the equal-power cross-fade between segments of noise, s."""
_POINTS = 5000
"""Number of directions that a directional spread sums over."""


@dataclass(frozen=True)
class NoiseSpectrum:
    """The spectrum of a noise: a slope between two edges, beyond which it falls by 12 dB an octave."""

    low: float
    """Hz."""
    high: float
    """Hz."""
    slope: float
    """Decibels an octave, of power."""

    def amplitudes(self, frequencies: Floats) -> Floats:
        """At some frequencies in Hz, in no unit."""
        above = np.maximum(frequencies, 1e-3)
        edges = np.hypot(1, (self.low / above) ** 2) * np.hypot(1, (above / self.high) ** 2)
        return np.where(frequencies > 0, above ** (self.slope / 6.02) / edges, 0.0)

    def noise(self, rng: np.random.Generator, shape: tuple[int, int], sample_rate: int) -> Audio:
        """Gaussian noise of unit power, float32 `(channels, samples)`; no channel knows of another."""
        length = next_fast_len(shape[1], real=True)
        gains = _amplitudes(self, length, sample_rate)
        spectrum = rng.standard_normal((shape[0], 2 * len(gains)), np.float32).view(np.complex64)
        return np.asarray(irfft(spectrum * gains, length, overwrite_x=True)[:, : shape[1]], np.float32)


@lru_cache(maxsize=16)
def _amplitudes(tint: NoiseSpectrum, length: int, sample_rate: int) -> Audio:
    """Amplitudes of the bins of a spectrum whose real and imaginary parts have unit variance."""
    shape = tint.amplitudes(np.arange(length // 2 + 1, dtype=np.float64) * (sample_rate / length))
    return np.asarray(shape * np.sqrt(length / 2 / (shape**2).mean()), np.float32)


@dataclass(frozen=True)
class DirectionalSpread:
    """Where a bed comes from: a von Mises-Fisher distribution of directions."""

    azimuth: float = 0.0
    """Azimuth of the centre, radians."""
    elevation: float = 0.0
    concentration: float = 0.0
    """0: all round; 4: mostly within 45 degrees of the middle; infinite: a plane wave."""

    def covariance(self, order: int) -> Floats:
        """Covariance `(channels, channels)` of a field of unit pressure."""
        azimuth, elevation = equal_area_grid(_POINTS)
        vectors = direction(azimuth.double(), elevation.double())
        middle = direction(torch.tensor(self.azimuth).double(), torch.tensor(self.elevation).double())
        weights = torch.exp(self.concentration * (vectors @ middle - 1))
        gains = spherical_harmonics(vectors, order)
        return np.asarray((gains.T * (weights / weights.sum())) @ gains)


@dataclass(frozen=True)
class LoudnessModulation:
    """How the loudness of a bed rises and falls: the sum of three slow sines."""

    depth: float = 0.0
    """Root mean square of the loudness, decibels."""
    rate: float = 0.1
    """Hz, of the fastest."""
    seed: int = 0

    def gains(self, times: Floats) -> Audio:
        """By which the sound is multiplied at some instants."""
        phases = np.random.default_rng((self.seed, 1)).uniform(0, 2 * np.pi, 3)
        rates = 2 * np.pi * self.rate * np.array([1.0, 0.618, 0.382])
        loud = sum(np.sin(rate * times + phase) for rate, phase in zip(rates, phases, strict=True))
        return np.asarray(10 ** (self.depth * np.sqrt(2 / 3) * loud / 20), np.float32)


@dataclass(frozen=True)
class AmbienceLayer:
    """Noise that goes on."""

    tint: NoiseSpectrum
    spread: DirectionalSpread
    level: float
    """Decibels, of W."""
    swell: LoudnessModulation
    seed: int

    def blocks(self, samples: int, sample_rate: int, order: int) -> Iterator[Audio]:
        """The sound from its beginning, block after block, without end.

        Args:
            samples: of a block; each depends on its number and on the seed alone.
            sample_rate: Hz.
            order: of the field.

        Yields:
            float32 `(channels, samples)`.
        """
        fade = min(round(FADE * sample_rate), samples)
        rise = np.sin(0.5 * np.pi * (np.arange(fade) + 0.5) / fade).astype(np.float32)
        times = np.arange(samples) / sample_rate
        tail = self._segment(0, fade, sample_rate, order)
        number = 0
        while True:
            number += 1
            segment = self._segment(number, samples + fade, sample_rate, order)
            segment[:, :fade] = rise * segment[:, :fade] + rise[::-1] * tail
            tail = segment[:, samples:]
            begin = (number - 1) * samples / sample_rate
            yield segment[:, :samples] * self.swell.gains(begin + times)

    def _segment(self, number: int, samples: int, sample_rate: int, order: int) -> Audio:
        """Noise of one level, float32 `(channels, samples)`."""
        rng = np.random.default_rng((self.seed, number))
        noise = self.tint.noise(rng, (channel_count(order), samples), sample_rate) * np.float32(10 ** (self.level / 20))
        return np.asarray(_root(self.spread, order) @ noise)


@lru_cache(maxsize=64)
def _root(spread: DirectionalSpread, order: int) -> Audio:
    """The symmetric matrix that gives independent noises the covariance of a spread."""
    values, vectors = np.linalg.eigh(spread.covariance(order))
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T, np.float32)
