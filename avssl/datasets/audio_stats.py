"""Streaming statistics of a recording: level, peak, silent channels, direction; computed block by block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import band_covariance, field_direction

SILENT_DB = -70.0
"""Below the loudest channel: far under any microphone's noise, above what lossy coding leaves in an empty channel."""
SAME_DB = -60.0
"""The difference of the channels below their sum, where they are one channel stored twice."""
APART_TOTAL = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
LETTERS = "WYZX"
LOW, HIGH = 150.0, 4000.0
"""Hz; below, walls dominate; above, first-order microphones alias."""


class AudioStats:
    """Length, peak and energy of each channel of one recording; independent of block boundaries.

    Args:
        sample_rate: Hz.
        channels: of the recording.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate = sample_rate
        self.samples = 0
        self.peak = 0.0
        self.energy = torch.zeros(channels, dtype=torch.float64)

    def add(self, audio: Tensor) -> None:
        """Accumulate the next block, `(channels, samples)`."""
        self.samples += audio.shape[-1]
        self.peak = max(self.peak, float(audio.abs().max()))
        self.energy = self.energy.to(audio.device) + audio.double().square().sum(-1)

    def floor(self) -> float:
        """Energy up to which a channel counts as silent."""
        return float(self.energy.max()) * 10 ** (SILENT_DB / 10)


class StereoStats(AudioStats):
    """Statistics of one stereo or binaural recording: level, level of left minus right, identical channels.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, 2)
        self.mixed = torch.zeros(2, dtype=torch.float64)  # energy of left minus right, and of left plus right

    def add(self, audio: Tensor) -> None:
        """Accumulate the next block, left and right `(2, samples)`."""
        super().add(audio)
        mixed = (APART_TOTAL.to(audio) @ audio).double().square().sum(-1)
        self.mixed = self.mixed.to(audio.device) + mixed

    def silent_channels(self) -> str:
        """L or R where that channel is silent, L-R where both carry the same.

        Raises:
            InputError: there is no sound.
        """
        if self.peak == 0.0:
            raise InputError("expected sound, it is silent throughout")
        apart, total = self.mixed.tolist()
        if apart <= total * 10 ** (SAME_DB / 10):
            return "L-R"
        left, right = (self.energy <= self.floor()).tolist()
        return "L" if left else "R" if right else ""

    def difference(self) -> float:
        """Level of left minus right below left plus right, in dB."""
        apart, total = self.mixed.tolist()
        return 10 * math.log10(max(apart, 1e-30) / max(total, 1e-30))

    def direction(self) -> tuple[float, float, float]:
        """Azimuth, elevation and diffuseness: nan, as two channels have no intensity vector."""
        return math.nan, math.nan, math.nan


class FoaStats(AudioStats):
    """Statistics of one first-order recording: level, silent channels, direction of the active intensity.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, len(LETTERS))
        self.band = torch.zeros(4, 4, dtype=torch.float64)  # covariance between channels, 150-4000 Hz

    def add(self, audio: Tensor) -> None:
        """Accumulate the next block, ambiX `(4, samples)`."""
        super().add(audio)
        self.band = self.band.to(audio.device) + band_covariance(audio, self.sample_rate, LOW, HIGH).double()

    def silent_channels(self) -> str:
        """Letters of the silent channels, such as Z.

        Raises:
            InputError: there is no sound, W is silent, or nothing but W sounds.
        """
        if self.peak == 0.0:
            raise InputError("expected ambisonics, the sound is silent throughout")
        floor = self.floor()
        silent = "".join(letter for letter, energy in zip(LETTERS, self.energy, strict=True) if energy <= floor)
        if "W" in silent:
            raise InputError(f"expected ambisonics, channel W is silent (silent: {silent})")
        if silent == "YZX":
            raise InputError("expected ambisonics, only channel W sounds: this is mono sound in four channels")
        return silent

    def direction(self) -> tuple[float, float, float]:
        """Azimuth and elevation in degrees, and diffuseness, of the active intensity of 150-4000 Hz.

        nan, nan and 1 if nothing sounds in that band.
        """
        azimuth, elevation, diffuseness = (float(each) for each in field_direction(self.band))
        return math.degrees(azimuth), math.degrees(elevation), diffuseness
