"""Moving sources of a soundscape: single sounds that appear, move and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avssl.spatial.ambisonics import angles, encode
from avssl.synth.soundscape.background_noise import Audio, NoiseSpectrum
from avssl.synth.sources.classes import BY_NAME
from avssl.synth.sources.oscillators import Signal, Span, Voice

Floats = NDArray[np.float64]

_EDGE = 0.15
"""Fraction of a sound used for its fade-in and its fade-out."""
_STEP = 0.01
"""Interval between computed directions, s; gains are interpolated in between."""


@dataclass(frozen=True)
class Line:
    """A straight and level way past the listener; of speed 0, a place."""

    bearing: float
    """Azimuth of its nearest point, radians."""
    nearest: float
    """Metres to that point, along the ground."""
    height: float = 0.0
    """Metres above the ears."""
    speed: float = 0.0
    """Metres a second; positive passes from right to left."""
    passing: float = 0.0
    """Seconds after the sound's beginning at which it is nearest."""

    def at(self, times: Floats) -> Floats:
        """Places `(..., 3)` in metres along x, y, z, seconds `(...)` after the sound's beginning."""
        cosine, sine = np.cos(self.bearing), np.sin(self.bearing)
        along = self.speed * (times - self.passing)
        x, y = self.nearest * cosine - along * sine, self.nearest * sine + along * cosine
        return np.stack([x, y, np.full_like(x, self.height)], -1)

    def distance(self, times: Floats) -> Floats:
        """Metres to the listener."""
        return np.asarray(np.linalg.norm(self.at(times), axis=-1))


@dataclass(frozen=True)
class MovingSource:
    """One sound."""

    onset: float
    """Seconds from the beginning of the recording; may be negative."""
    seconds: float
    source: str | NoiseSpectrum
    """A kind of objects, or the spectrum of a noise."""
    voice: Voice
    line: Line
    level: float
    """Decibels at the nearest point of its way."""
    wet: float
    """Share of its power that arrives from all round, 0..1."""

    def dry(self, sample_rate: int) -> Signal:
        """Signal at the listener: it fades in and out, and its level follows the distance."""
        span = Span(0.0, round(self.seconds * sample_rate), sample_rate)
        audio = self._sounded(span)
        times = span.times()
        edge = np.clip(np.minimum(times, self.seconds - times) / (_EDGE * self.seconds), 0, 1)
        far = self.line.distance(times) / self.line.distance(np.array(self.line.passing))
        gain = 10 ** (self.level / 20) / (np.sqrt((audio**2).mean()) + 1e-9)
        return np.asarray(audio * gain * np.sin(0.5 * np.pi * edge) ** 2 / far, np.float32)

    def _sounded(self, span: Span) -> Signal:
        if isinstance(self.source, str):
            return BY_NAME[self.source].audio(self.voice, span)
        rng = np.random.default_rng(self.voice.seed)
        return np.asarray(self.source.noise(rng, (1, span.samples), span.sample_rate)[0])

    def directed(self, segment: Signal, begin: float, sample_rate: int, order: int) -> Audio:
        """A segment of the sound from where it is.

        Args:
            segment: `(samples,)` of it.
            begin: seconds after the sound's beginning.
            sample_rate: Hz.
            order: of the field.

        Returns:
            float32 `(channels, samples)`, without the share that arrives from all round.
        """
        straight = torch.from_numpy(segment * np.float32(np.sqrt(1 - self.wet)))
        if not self.line.speed:
            return np.asarray(encode(straight, *_angles(self.line, np.zeros(())), order=order).numpy())
        seconds = len(segment) / sample_rate
        instants = begin + np.linspace(0, seconds, 2 + int(seconds / _STEP))
        gains = encode(torch.ones(len(instants)), *_angles(self.line, instants), order=order)
        gliding = torch.nn.functional.interpolate(gains[None], len(segment), mode="linear", align_corners=True)[0]
        return np.asarray((gliding * straight).numpy())


def _angles(line: Line, times: Floats) -> tuple[torch.Tensor, torch.Tensor]:
    return angles(torch.from_numpy(line.at(times)).float())
