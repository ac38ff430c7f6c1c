"""Overlap-add: audio of any length processed in overlapping windows that are cross-faded, block by block."""

# C output channels, S samples of a window, B windows of a batch

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from avssl.errors import InputError

WindowFunction = Callable[[Tensor, list[int]], Tensor]
"""Windows `(B, channels, S)` and the sample at which each begins, to their output `(B, C, S)`."""


class Window(NamedTuple):
    """A window of the input."""

    audio: Tensor
    """`(channels, S)`."""
    start: int
    """First sample; negative for windows that begin in the margin before the audio."""


class OverlapAdd:
    """Cuts a stream into windows every `hop` samples, and adds up their outputs with Hann weights.

    The sum of the weights is divided out, so the gain is 1 everywhere; weights start near 0, so no window border is
    audible. The last window ends where the stream ends. As many samples leave as entered, in the same positions.
    Windows are grouped into the same batches however the stream is divided into blocks.

    Args:
        function: applied to batches of windows.
        channels: C, of the output.
        samples: S, length of a window.
        hop: samples between the starts of neighbouring windows.
        margin: samples at both ends of a window that are context only; their output is discarded.
        batch: B, windows per call of `function`.
        ready: whether the window that begins at a sample can be computed yet, such as when its frames have arrived;
            asked in ascending order, and not after `finish`.

    Raises:
        InputError: windows that overlap by less than half of what is used of them.

    Example:
        >>> stream = OverlapAdd(lambda windows, starts: windows, channels=1, samples=8, hop=4)
        >>> audio = torch.randn(1, 20)
        >>> out = torch.cat([stream.push(audio[:, :7]), stream.push(audio[:, 7:]), stream.finish()], 1)
        >>> torch.allclose(out, audio, atol=1e-6)
        True
    """

    def __init__(
        self,
        function: WindowFunction,
        channels: int,
        samples: int,
        hop: int,
        margin: int = 0,
        batch: int = 1,
        ready: Callable[[int], bool] = lambda start: True,
    ) -> None:
        used = samples - 2 * margin
        if not 1 <= hop <= used / 2:
            raise InputError(f"expected a hop of 1 to {used // 2} samples, half of the used window, got {hop}")
        self.function, self.ready = function, ready
        self.samples, self.hop, self.margin, self.batch = samples, hop, margin, batch
        self._cutter = _WindowCutter(samples, hop, margin)
        self._sum = _WeightedSum(channels, (math.pi * (torch.arange(used) + 0.5) / used).sin().square())
        self._waiting: deque[Window] = deque()
        self._received = self._returned = 0

    @property
    def delay(self) -> int:
        """Samples by which output lags behind input at most, if all windows are ready."""
        return self.samples - self.margin + self.batch * self.hop

    def push(self, block: Tensor) -> Tensor:
        """Take the next block `(channels, samples)`, and return the output `(C, samples)` that is final; maybe none."""
        self._received += block.shape[1]
        self._waiting += self._cutter.push(block)
        done = [self._sum.take(0)]
        while len(self._waiting) >= self.batch and self.ready(self._waiting[self.batch - 1].start):
            done.append(self._process(self.batch))
        return self._counted(torch.cat(done, 1))

    def finish(self) -> Tensor:
        """Return the rest of the output, `(C, samples)`."""
        self._waiting += self._cutter.finish()
        done = [self._process(min(self.batch, len(self._waiting))) for _ in range(0, len(self._waiting), self.batch)]
        return self._counted(torch.cat([*done, self._sum.take(self._sum.length)], 1))

    def _process(self, count: int) -> Tensor:
        """Compute the next windows; output before the start of the last one is final."""
        windows = [self._waiting.popleft() for _ in range(count)]
        out = self.function(torch.stack([each.audio for each in windows]), [each.start for each in windows])
        for window, made in zip(windows, out[..., self.margin : self.samples - self.margin], strict=True):
            self._sum.add(made, window.start + self.margin)
        return self._sum.take(windows[-1].start + self.margin - self._sum.start)

    def _counted(self, block: Tensor) -> Tensor:
        """Cut output that lies in the padding after the end of the stream."""
        block = block[:, : self._received - self._returned]
        self._returned += block.shape[1]
        return block


class _WindowCutter:
    """Windows of a stream, padded with a margin of silence at both ends."""

    def __init__(self, samples: int, hop: int, margin: int) -> None:
        self.samples, self.hop, self.margin = samples, hop, margin
        self._held, self._start, self._step = torch.zeros(0, 0), -margin, 0
        self._received = 0

    def push(self, block: Tensor) -> list[Window]:
        """Windows that end in this block."""
        if not block.shape[1]:
            return []
        if not self._received:
            self._held = block.new_zeros(len(block), self.margin)
        self._received += block.shape[1]
        return self._cut(block)

    def finish(self) -> list[Window]:
        """The last windows, of which the very last one ends a margin after the stream; none of an empty stream."""
        if not self._received:
            return []
        padding = max(self.margin, self.samples - self.margin - self._received)
        windows = self._cut(self._held.new_zeros(len(self._held), padding))
        rest = self._held.shape[1] - self.samples
        return [*windows, Window(self._held[:, rest:], self._start + rest)] if rest else windows

    def _cut(self, block: Tensor) -> list[Window]:
        self._held, windows = torch.cat([self._held, block], 1), []
        # The last window stays held: the very last one of the stream may need most of its samples.
        while self._held.shape[1] >= self._step + self.samples:
            self._held, self._start = self._held[:, self._step :], self._start + self._step
            windows.append(Window(self._held[:, : self.samples], self._start))
            self._step = self.hop
        return windows


class _WeightedSum:
    """Weighted sum of overlapping windows, and of their weights, from the first sample that is not final."""

    def __init__(self, channels: int, weight: Tensor) -> None:
        self.weight, self.start = weight, 0
        self._sums, self._weights = torch.zeros(channels, 0), torch.zeros(0)

    @property
    def length(self) -> int:
        """Samples that are held."""
        return len(self._weights)

    def add(self, made: Tensor, start: int) -> None:
        """Add the output `(C, samples)` of a window that begins at a sample."""
        first, last = start - self.start, start - self.start + made.shape[-1]
        further = max(0, last - self.length)
        self._sums, self._weights = (functional.pad(each, (0, further)) for each in (self._sums, self._weights))
        self._sums[:, first:last] += self.weight * made
        self._weights[first:last] += self.weight

    def take(self, count: int) -> Tensor:
        """Remove and return the first samples, `(C, count)`."""
        done = self._sums[:, :count] / self._weights[:count]
        self._sums, self._weights, self.start = self._sums[:, count:], self._weights[count:], self.start + count
        return done
