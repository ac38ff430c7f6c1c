"""Oscillators, noise, and grains repeated in a rhythm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import NDArray

Signal = NDArray[np.float32]
TABLE = 16384
"""Length of a wave table, read at the nearest point: the 40th harmonic is 45 dB above the error."""


@dataclass(frozen=True)
class Voice:
    """One individual's way of sounding, whatever its kind."""

    pitch: float
    """Hz; what it means is up to the kind."""
    rate: float
    """Events or modulations a second."""
    phase: float
    """0..1, part of a period by which the rhythm is shifted."""
    timbre: float
    """0..1, dark to bright."""
    seed: int
    """Seed of the finer details."""


@dataclass(frozen=True)
class Span:
    """The instants that a signal is made for."""

    start: float
    """Seconds; negative before the scene begins."""
    samples: int
    sample_rate: int
    """Hz."""

    def times(self) -> NDArray[np.float64]:
        """Seconds of every sample."""
        return self.start + np.arange(self.samples) / self.sample_rate


def rng_of(voice: Voice) -> np.random.Generator:
    """The generator of a voice's finer details."""
    return np.random.default_rng(voice.seed)


def oscillate(cycles: NDArray[np.float64], partials: NDArray[np.float64] | list[float]) -> Signal:
    """A harmonic tone.

    Args:
        cycles: phase of the fundamental in turns.
        partials: amplitude of each harmonic, the fundamental first.

    Returns:
        One sample for each phase.
    """
    return _table(tuple(float(each) for each in partials))[((cycles % 1.0) * TABLE).astype(np.int32)]


@lru_cache(maxsize=256)
def _table(partials: tuple[float, ...]) -> Signal:
    # Schroeder's phases keep the crest of many harmonics low.
    order = np.arange(1, len(partials) + 1)
    spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
    spectrum[order] = -0.5j * TABLE * np.array(partials) * np.exp(1j * np.pi * order**2 / len(partials))
    return np.fft.irfft(spectrum).astype(np.float32)


def cycles_of(frequency: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Phase in turns of a tone whose frequency in Hz changes sample by sample."""
    return np.cumsum(frequency) / sample_rate


def audible(pitch: float, sample_rate: int, most: int) -> NDArray[np.float64]:
    """Numbers 1, 2, 3... of the harmonics that stay below 0.45 of the sample rate, `most` at most."""
    return np.arange(1, max(2, min(most, int(0.45 * sample_rate / pitch)) + 1), dtype=np.float64)


def band_noise(rng: np.random.Generator, samples: int, low: float, high: float, sample_rate: int) -> Signal:
    """Noise of unit power between two frequencies in Hz."""
    edges = (max(20.0, low), min(high, 0.49 * sample_rate))
    filtered = scipy.signal.sosfilt(_band(edges, sample_rate), rng.standard_normal(samples, dtype=np.float32))
    return np.asarray(filtered / (np.sqrt(np.mean(filtered**2)) + 1e-9), np.float32)


@lru_cache(maxsize=256)
def _band(edges: tuple[float, float], sample_rate: int) -> NDArray[np.float64]:
    return np.asarray(scipy.signal.butter(2, edges, "bandpass", fs=sample_rate, output="sos"))


def decay(seconds: float, half_life: float, sample_rate: int, attack: float = 0.003) -> Signal:
    """The loudness of something struck: a quick rise, then an exponential fall that ends at zero."""
    times = np.arange(int(seconds * sample_rate)) / sample_rate
    fall = np.exp2(-times / half_life) * np.clip((seconds - times) / (0.2 * seconds), 0, 1)
    return np.asarray(np.clip(times / attack, 0, 1) * fall, np.float32)


def beat(voice: Voice, span: Span, swing: float = 0.0) -> list[tuple[float, int]]:
    """Onset in seconds and running number of the voice's events, those before the span included.

    Args:
        voice: gives rate, phase and seed.
        span: what is to be filled.
        swing: how far, in periods, an onset may lie off the beat.
    """
    period = 1 / voice.rate
    first = int(np.floor(span.start / period)) - 3
    count = int(span.samples / span.sample_rate / period) + 6
    off = np.random.default_rng((voice.seed, 1)).uniform(-swing, swing, count)
    return [((first + k + voice.phase + float(off[k])) * period, first + k) for k in range(count)]


def place(onsets: list[tuple[float, Signal]], span: Span) -> Signal:
    """A signal that is the sum of grains, each begun at its onset in seconds."""
    total = np.zeros(span.samples, np.float32)
    for onset, grain in onsets:
        begin = round((onset - span.start) * span.sample_rate)
        left, right = max(0, begin), min(span.samples, begin + len(grain))
        if left < right:
            total[left:right] += grain[left - begin : right - begin]
    return total


def slow_wave(voice: Voice, span: Span) -> NDArray[np.float64]:
    """A sine of the voice's rate and phase."""
    return np.sin(2 * np.pi * (voice.rate * span.times() - voice.phase))


def gate(voice: Voice, span: Span, duty: float, edge: float = 0.012) -> Signal:
    """0..1: open during the first part of every period, with soft edges.

    Args:
        voice: gives rate and phase.
        span: what is to be filled.
        duty: open part of a period.
        edge: seconds of opening and of closing.
    """
    place_in_period = (voice.rate * span.times() - voice.phase) % 1.0
    rise = place_in_period / (voice.rate * edge)
    fall = (duty - place_in_period) / (voice.rate * edge)
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)
