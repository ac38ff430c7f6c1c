"""What every meter of a recording counts: length, peak and the energy of each channel."""

from __future__ import annotations

import torch
from torch import Tensor

SILENT_DB = -70.0
"""Below the loudest channel: far under any microphone's noise, above what lossy coding leaves in an empty channel."""


class Meter:
    """Sums over the blocks of one recording; the numbers do not depend on where it was cut.

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
        """Hear the next block, `(channels, samples)`."""
        self.samples += audio.shape[-1]
        self.peak = max(self.peak, float(audio.abs().max()))
        self.energy = self.energy.to(audio.device) + audio.double().square().sum(-1)

    def floor(self) -> float:
        """Energy up to which a channel counts as silent."""
        return float(self.energy.max()) * 10 ** (SILENT_DB / 10)
