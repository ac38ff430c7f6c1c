"""What is known of sound for two ears after hearing it once, block by block: level, and whether the channels differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.data.meter import Meter
from avssl.errors import InputError

SAME_DB = -60.0
"""The difference of the channels below their sum, where they are one channel stored twice."""
APART_TOTAL = torch.tensor([[1.0, -1.0], [1.0, 1.0]])


class EarsMeter(Meter):
    """Sums over the blocks of one stereo or binaural recording.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(sample_rate, 2)
        self.mixed = torch.zeros(2, dtype=torch.float64)  # energy of left minus right, and of left plus right

    def add(self, audio: Tensor) -> None:
        """Hear the next block, left and right `(2, samples)`."""
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
        """Not a number, three times: two ears have no intensity."""
        return math.nan, math.nan, math.nan
