"""Random sampling of a soundscape: ambience layers and moving sources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avssl.synth.soundscape.background_noise import AmbienceLayer, DirectionalSpread, LoudnessModulation, NoiseSpectrum
from avssl.synth.soundscape.moving_sources import Line, MovingSource
from avssl.synth.soundscape.soundscape import DiffuseReverb, Soundscape
from avssl.synth.sources.classes import BY_NAME, draw_voice

Range = tuple[float, float]

_LEVEL = 3.0
"""Level variation between recordings and between moving sources, dB."""
_TILT = 1.5
"""Variation of the spectral slope between recordings, dB per octave."""


class SoundscapeSampler:
    """A place in the making."""

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self.rng, self.seconds = rng, seconds
        self.tilt = self.between(-_TILT, _TILT)
        self.beds: list[AmbienceLayer] = []
        self.passers: list[MovingSource] = []

    def place(self, level: float) -> Soundscape:
        """The sampled soundscape with its reverberation; `level` in dB is added to all parts."""
        return Soundscape(
            tuple(self.beds), tuple(self.passers), DiffuseReverb(self.between(0.6, 1.2), self._seed()), level
        )

    def between(self, low: float, high: float) -> float:
        """A random number."""
        return float(self.rng.uniform(low, high))

    def bed(
        self, tint: NoiseSpectrum, level: float, concentration: float, elevation: float = 0.0, depth: float = 1.0,
        around: bool = False,
    ) -> None:  # fmt: skip
        """Noise that goes on.

        Args:
            tint: its spectrum.
            level: decibels.
            concentration: of its directions, see `DirectionalSpread`.
            elevation: degrees.
            depth: of its swell, decibels.
            around: whether it comes from any side, rather than from in front.
        """
        azimuth = self.between(-np.pi, np.pi) if around else 0.0
        spread = DirectionalSpread(azimuth, float(np.radians(elevation + self.between(-5, 5))), concentration)
        swell = LoudnessModulation(depth * self.between(0.7, 1.3), self.between(0.06, 0.15), self._seed())
        self.beds.append(AmbienceLayer(self._tinted(tint), spread, level + self._off(), swell, self._seed()))

    def driving(
        self, source: str | NoiseSpectrum, every: float, level: float, wet: float, speed: Range = (7, 13)
    ) -> None:
        """Vehicles both ways along a street that runs from left to right, in front."""
        nearest, level = self.between(3, 6), level + self._off()
        source = source if isinstance(source, str) else self._tinted(source)
        for onset in self._onsets(every, 8.0):
            pace = self.between(*speed)
            line = Line(0.0, nearest * self.between(0.9, 1.4), -0.5, pace * self.rng.choice([-1, 1]), 40 / pace)
            self._pass(onset, min(16.0, 80 / pace), source, line, level, wet)

    def walking(self, source: str, every: float, level: float, wet: float, nearest: Range = (1.5, 4)) -> None:
        """People who cross the place in any direction."""
        level += self._off()
        for onset in self._onsets(every, 8.0):
            seconds = self.between(5, 9)
            bearing, pace = self.between(-np.pi, np.pi), self.between(1.0, 1.8) * self.rng.choice([-1, 1])
            line = Line(bearing, self.between(*nearest), 0.0, float(pace), seconds * self.between(0.3, 0.7))
            self._pass(onset, seconds, source, line, level, wet)

    def flying(self, source: str, every: float, level: float) -> None:
        """Birds that cross overhead."""
        level += self._off()
        for onset in self._onsets(every, 3.0):
            seconds = self.between(1.5, 3)
            bearing, pace = self.between(-np.pi, np.pi), self.between(6, 11) * self.rng.choice([-1, 1])
            line = Line(bearing, self.between(2, 8), self.between(4, 9), float(pace), seconds / 2)
            self._pass(onset, seconds, source, line, level, 0.05)

    def standing(
        self, source: str, every: float, level: float, nearest: Range, height: Range = (-0.3, 0.3), wet: float = 0.1
    ) -> None:
        """Sounds that come from a place each, here and there."""
        level += self._off()
        for onset in self._onsets(every, 3.0):
            line = Line(self.between(-np.pi, np.pi), self.between(*nearest), self.between(*height))
            self._pass(onset, self.between(1.5, 3), source, line, level, wet)

    def staying(self, source: str, level: float, wet: float) -> None:
        """One sound that never stops, from one place; its repeats overlap."""
        level += self._off()
        line = Line(self.between(-np.pi, np.pi), self.between(3, 8), self.between(0, 1))
        voice = draw_voice(self.rng, BY_NAME[source])
        for onset in np.arange(-5.0, self.seconds, 10.0):
            self._pass(float(onset), 12.0, source, line, level, wet)
            self.passers[-1] = replace(self.passers[-1], voice=voice)

    def _pass(
        self, onset: float, seconds: float, source: str | NoiseSpectrum, line: Line, level: float, wet: float
    ) -> None:
        level += self._off()
        # A noise has nothing of a voice but its seed.
        voice = draw_voice(self.rng, BY_NAME[source if isinstance(source, str) else "fan"])
        self.passers.append(MovingSource(onset, seconds, source, voice, line, level, wet))

    def _onsets(self, every: float, before: float) -> list[float]:
        """Seconds at which sounds begin, at random; those under way when the recording begins included."""
        count = max(1, round((self.seconds + before) / every))
        slots = (np.arange(count) + self.rng.random(count)) * (self.seconds + before) / count
        return [float(each) for each in slots - before]

    def _tinted(self, tint: NoiseSpectrum) -> NoiseSpectrum:
        return replace(tint, slope=tint.slope + self.tilt)

    def _off(self) -> float:
        return self.between(-_LEVEL, _LEVEL)

    def _seed(self) -> int:
        return int(self.rng.integers(2**31))
