"""What is known of a first-order recording after hearing it once, block by block: level, silence, direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.data.meter import Meter
from avssl.errors import InputError
from avssl.spatial.ambisonics import band_covariance, field_direction

LETTERS = "WYZX"
LOW, HIGH = 150.0, 4000.0
"""Hz; below, walls dominate; above, first-order microphones alias."""


class FieldMeter(Meter):
    """Sums over the blocks of one first-order recording.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, len(LETTERS))
        self.band = torch.zeros(4, 4, dtype=torch.float64)  # covariance between channels, 150-4000 Hz

    def add(self, audio: Tensor) -> None:
        """Hear the next block, ambiX `(4, samples)`."""
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
