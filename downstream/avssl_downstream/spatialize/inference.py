"""How the windows of a generator are laid over audio of any length."""

# C output channels, S samples of a window

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.overlap_add import OverlapAdd, WindowFunction


class WindowSchedule(NamedTuple):
    """Hop and batch size of windows."""

    hop: float
    """Seconds between windows; 0: the generator's."""
    batch: int
    """Windows computed at once."""

    def overlap_add(
        self, generator: Generator, function: WindowFunction, ready: Callable[[int], bool] = lambda start: True
    ) -> OverlapAdd:
        """Overlap-add of a generator's windows.

        Args:
            generator: gives sample rate, window length, margin and channels.
            function: see `OverlapAdd`.
            ready: see `OverlapAdd`.

        Raises:
            InputError: windows that overlap by less than half.
        """
        rate = generator.sample_rate
        hop = round((self.hop or generator.hop) * rate)
        margin = round(generator.margin * rate)
        longest = (generator.samples - 2 * margin) // 2
        if not 1 <= hop <= longest:
            raise InputError(
                f"expected a hop of at most {longest / rate:g} s, half of the used window, got {hop / rate:g} s"
            )
        return OverlapAdd(function, generator.channels, generator.samples, hop, margin, self.batch, ready)

    def process(self, generator: Generator, function: WindowFunction, audio: Tensor) -> Tensor:
        """Output `(C, samples)` of a window function for whole audio `(channels, samples)`; see `overlap_add`."""
        overlap_add = self.overlap_add(generator, function)
        return torch.cat([overlap_add.push(audio), overlap_add.finish()], 1)


def ideal_mask_stream(generator: Generator, target: Tensor, schedule: WindowSchedule) -> Tensor:
    """Audio of the ideal masks over a whole recording: the upper bound of a generator.

    Args:
        generator: see `Generator.ideal_mask_output`.
        target: the true spatial audio, `(C, samples)`.
        schedule: of the windows.

    Returns:
        `(C, samples)`.
    """

    def ideal(windows: Tensor, starts: list[int]) -> Tensor:
        with torch.no_grad():
            return generator.ideal_mask_output(windows)

    return schedule.process(generator, ideal, target)
