"""What is known of sound for two ears after hearing it once, block by block: level, and whether the channels differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.data.field import SILENT_DB

SAME_DB = -60.0
"""The difference of the channels below their sum, where they are one channel stored twice."""
LEFT_RIGHT = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


class EarsMeter:
    """Sums over the blocks of one stereo or binaural recording.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.samples = 0
        self.peak = 0.0
        self.energy = torch.zeros(4, dtype=torch.float64)  # of left, right, their difference, their sum

    def add(self, ears: Tensor) -> None:
        """Hear the next block, left and right `(2, samples)`."""
        self.samples += ears.shape[-1]
        self.peak = max(self.peak, float(ears.abs().max()))
        self.energy += (LEFT_RIGHT @ ears).double().square().sum(-1)

    def silent_channels(self) -> str:
        """L or R where that channel is silent, L-R where both carry the same.

        Raises:
            ValueError: there is no sound.
        """
        if self.peak == 0.0:
            raise ValueError("expected sound, it is silent throughout")
        left, right, difference, total = self.energy.tolist()
        if difference <= total * 10 ** (SAME_DB / 10):
            return "L-R"
        floor = max(left, right) * 10 ** (SILENT_DB / 10)
        return "L" if left <= floor else "R" if right <= floor else ""

    def difference(self) -> float:
        """Level of left minus right below left plus right, in dB."""
        apart, total = self.energy[2:].tolist()
        return 10 * math.log10(max(apart, 1e-30) / max(total, 1e-30))

    def direction(self) -> tuple[float, float, float]:
        """Not a number, three times: two ears have no intensity."""
        return math.nan, math.nan, math.nan
