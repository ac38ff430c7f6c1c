"""Resampling of a stream, block by block."""

from __future__ import annotations

from math import ceil, gcd

import torch
from torch import Tensor

from avssl.media.resample import CROSSINGS, resample


class StreamResampler:
    """Gives what `resample` gives of the whole stream, from blocks of any length, with a delay of a few milliseconds.

    Args:
        channels: of the stream.
        source: Hz, rate of the blocks that come in.
        target: Hz, rate of the blocks that go out.
    """

    def __init__(self, channels: int, source: int, target: int) -> None:
        self.source, self.target = source, target
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        # Context that begins on a sample of either rate, longer than the filter's half.
        self._context = 0 if source == target else ceil((CROSSINGS + 1) * source / min(source, target) / self._down)
        self._before = self._held = torch.zeros(channels, 0)

    @property
    def delay(self) -> float:
        """Seconds by which output may lag behind input."""
        return (self._context + 1) * self._down / self.source if self._context else 0.0

    def push(self, block: Tensor) -> Tensor:
        """Take the next block `(channels, samples)`, and return the samples that no later input changes; maybe none."""
        if not self._context:
            return block
        self._held = torch.cat([self._held, block], 1)
        steps = self._held.shape[1] // self._down - self._context
        if steps < 1:
            return block[:, :0]
        made = self._resampled(self._held[:, : (steps + self._context) * self._down])[:, : steps * self._up]
        past = torch.cat([self._before, self._held[:, : steps * self._down]], 1)
        self._before = past[:, max(0, past.shape[1] - self._context * self._down) :]
        self._held = self._held[:, steps * self._down :]
        return made

    def finish(self) -> Tensor:
        """Return the rest, `(channels, samples)`; `ceil(samples * target / source)` have left in all."""
        return self._resampled(self._held) if self._held.numel() else self._held

    def _resampled(self, block: Tensor) -> Tensor:
        """A block, resampled after the context that came before it."""
        wide = torch.cat([self._before, block], 1)
        return resample(wide, self.source, self.target)[:, self._before.shape[1] // self._down * self._up :]
