"""Soundscape: ambience layers, moving sources and diffuse reverberation, as ambisonics of any order and length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from avssl.spatial.spherical_harmonics import channel_count
from avssl.synth.soundscape.background_noise import AmbienceLayer, Audio
from avssl.synth.soundscape.moving_sources import MovingSource
from avssl.synth.sources.oscillators import Signal

BLOCK = 4.0
"""Length of a rendered block, s."""


@dataclass(frozen=True)
class DiffuseReverb:
    """Diffuse reverberation."""

    seconds: float
    """Until it has fallen by 60 dB."""
    seed: int

    def response(self, sample_rate: int, order: int) -> Audio:
        """float32 `(channels, samples)`: unit energy of W, all channels without relation, as in a diffuse field."""
        times = np.arange(round(self.seconds * sample_rate)) / sample_rate
        shape = (10 ** (-3 * times / self.seconds)).astype(np.float32)
        noise = np.random.default_rng(self.seed).standard_normal((channel_count(order), len(times)), np.float32) * shape
        # SN3D: all channels of degree n together have the power of W.
        degree = np.floor(np.sqrt(np.arange(channel_count(order))))
        wanted = 1 / np.sqrt(2 * degree + 1)
        return np.asarray(noise * (wanted / np.sqrt((noise**2).sum(1)))[:, None], np.float32)


@dataclass(frozen=True)
class Soundscape:
    """All there is to hear in a recording."""

    beds: tuple[AmbienceLayer, ...]
    passers: tuple[MovingSource, ...]
    hall: DiffuseReverb
    level: float = 0.0
    """Decibels that are added to all."""

    def turned(self, yaw: float) -> Soundscape:
        """The same place, turned about the listener by an angle in radians, counter-clockwise."""
        beds = (replace(bed, spread=replace(bed.spread, azimuth=bed.spread.azimuth + yaw)) for bed in self.beds)
        lines = (replace(each.line, bearing=each.line.bearing + yaw) for each in self.passers)
        passers = (replace(each, line=line) for each, line in zip(self.passers, lines, strict=True))
        return replace(self, beds=tuple(beds), passers=tuple(passers))

    def blocks(self, seconds: float, sample_rate: int, order: int) -> Iterator[Audio]:
        """Render the soundscape in blocks of a few seconds.

        Args:
            seconds: length of the recording.
            sample_rate: Hz.
            order: of the field.

        Yields:
            float32 `(channels, samples)`, ambiX.
        """
        samples, block = round(seconds * sample_rate), round(BLOCK * sample_rate)
        beds = [bed.blocks(block, sample_rate, order) for bed in self.beds]
        reverberation = _Reverberation(self.hall, sample_rate, order)
        under_way: dict[MovingSource, Signal] = {}
        gain = np.float32(10 ** (self.level / 20))
        for first in range(0, samples, block):
            total = np.zeros((channel_count(order), block), np.float32)
            for bed in beds:
                total += next(bed)
            total += reverberation.after(self._pass_by(total, first, sample_rate, under_way, order))
            yield total[:, : samples - first] * gain

    def _pass_by(
        self, total: Audio, first: int, sample_rate: int, under_way: dict[MovingSource, Signal], order: int
    ) -> Signal:
        """Add what arrives straight from the passers to a block, in place; returns what goes into the hall."""
        sent = np.zeros(total.shape[1], np.float32)
        end = first + len(sent)
        for passer in self.passers:
            onset = round(passer.onset * sample_rate)
            if onset >= end or onset + round(passer.seconds * sample_rate) <= first:
                under_way.pop(passer, None)
                continue
            if passer not in under_way:
                under_way[passer] = passer.dry(sample_rate)
            audio = under_way[passer]
            begin, stop = max(first, onset), min(end, onset + len(audio))
            segment = audio[begin - onset : stop - onset]
            here = slice(begin - first, stop - first)
            total[:, here] += passer.directed(segment, (begin - onset) / sample_rate, sample_rate, order)
            sent[here] += np.float32(np.sqrt(passer.wet)) * segment
        return sent


class _Reverberation:
    """A hall under way: what it still owes from one block goes into the next."""

    def __init__(self, hall: DiffuseReverb, sample_rate: int, order: int) -> None:
        self.hall, self.sample_rate, self.order = hall, sample_rate, order
        self.owed = np.zeros((channel_count(order), round(hall.seconds * sample_rate)), np.float32)

    def after(self, sent: Signal) -> Audio:
        """Reverberate a block `(samples,)` that is no shorter than the response."""
        length = next_fast_len(len(sent) + self.owed.shape[1], real=True)
        response = _spectrum(self.hall, self.sample_rate, self.order, length)
        rendered = np.asarray(irfft(rfft(sent, length) * response, length))
        rendered[:, : self.owed.shape[1]] += self.owed
        self.owed = rendered[:, len(sent) : len(sent) + self.owed.shape[1]].copy()
        return rendered[:, : len(sent)]


@lru_cache(maxsize=2)
def _spectrum(hall: DiffuseReverb, sample_rate: int, order: int, length: int) -> np.ndarray:
    return np.asarray(rfft(hall.response(sample_rate, order), length))
