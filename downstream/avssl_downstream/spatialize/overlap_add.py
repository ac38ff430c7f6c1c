"""Windows laid over a sound of any length, each faded into the next, in flat memory."""

# C channels of what goes out, S samples of a window, B windows

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from avssl.errors import InputError
from torch import Tensor
from torch.nn import functional

WindowFunction = Callable[[Tensor, list[int]], Tensor]
"""Windows `(B, channels, S)` of what comes in, and at which sample each begins, to `(B, C, S)` of what goes out."""


class Window(NamedTuple):
    """A stretch of what comes in."""

    audio: Tensor
    """`(channels, S)`."""
    start: int
    """Sample at which it begins; the first one begins a margin before the sound."""


class OverlapAdd:
    """Lays windows over a sound, every `hop` samples, and adds up what is made of them with Hann's weights.

    The last window ends where the sound ends. The sum of the weights is divided out, so that nothing is louder
    anywhere; weights rise from nothing, so that no border of a window is heard.

    Args:
        samples: of a window.
        hop: samples from one window to the next.
        margin: samples at both ends of a window that are only context.

    Raises:
        InputError: windows that do not overlap by half.
    """

    def __init__(self, samples: int, hop: int, margin: int = 0) -> None:
        given = samples - 2 * margin
        if not 1 <= hop <= given / 2:
            raise InputError(f"a hop is from 1 to {given // 2} samples, half of what a window gives, not {hop}")
        self.samples, self.hop, self.margin = samples, hop, margin
        self.weight = (math.pi * (torch.arange(given) + 0.5) / given).sin().square()

    def process(self, blocks: Iterable[Tensor], heard: WindowFunction, together: int = 1) -> Iterator[Tensor]:
        """Blocks `(channels, samples)` of any lengths to blocks `(C, samples)`, of as many samples in all.

        Args:
            blocks: the sound that comes in.
            heard: what is done with windows of it.
            together: windows given to `heard` at once.
        """
        left = _Count()
        waiting, under_way = self._windows(left.counted(blocks)), _Sum(self.weight)
        while windows := list(islice(waiting, together)):
            out = heard(torch.stack([each.audio for each in windows]), [each.start for each in windows])
            for window, made in zip(windows, out[..., self.margin : self.samples - self.margin], strict=True):
                under_way.add(made, window.start + self.margin)
            yield from left.taken(under_way.before(windows[-1].start + self.margin))
        yield from left.taken(under_way.rest())

    def _windows(self, blocks: Iterable[Tensor]) -> Iterator[Window]:
        """Windows every hop, and one that ends where the sound ends."""
        held, start = torch.zeros(1, 0), -self.margin
        for block in self._padded(blocks):
            held = torch.cat([held.expand(len(block), -1), block], 1)
            while held.shape[1] >= self.samples + self.hop:
                yield Window(held[:, : self.samples], start)
                held, start = held[:, self.hop :], start + self.hop
        if held.numel():
            yield Window(held[:, : self.samples], start)
        if (rest := held.shape[1] - self.samples) > 0:
            yield Window(held[:, -self.samples :], start + rest)

    def _padded(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The sound with a margin of silence at both ends, or more if it would be shorter than a window."""
        total, block = 0, torch.zeros(0, 0)
        for block in blocks:
            if not total:
                yield block.new_zeros(len(block), self.margin)
            total += block.shape[1]
            yield block
        if total:
            yield block.new_zeros(len(block), max(self.margin, self.samples - self.margin - total))


class _Sum:
    """Weighted windows under way."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.sums, self.weights, self.start = torch.zeros(1, 0), torch.zeros(0), 0

    def add(self, made: Tensor, start: int) -> None:
        """Add `(C, samples)` of one window, from a sample on that is not done yet."""
        first, last = start - self.start, start - self.start + made.shape[-1]
        further = max(0, last - len(self.weights))
        self.sums = functional.pad(self.sums.expand(len(made), -1), (0, further))
        self.weights = functional.pad(self.weights, (0, further))
        self.sums[:, first:last] += self.weight * made
        self.weights[first:last] += self.weight

    def before(self, start: int) -> Tensor:
        """What is done: all before a sample."""
        count = start - self.start
        done = self.sums[:, :count] / self.weights[:count]
        self.sums, self.weights, self.start = self.sums[:, count:], self.weights[count:], start
        return done

    def rest(self) -> Tensor:
        """All that is left."""
        return self.sums / self.weights


class _Count:
    """Sees to it that as many samples go out as came in."""

    def __init__(self) -> None:
        self.samples = 0

    def counted(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same blocks."""
        for block in blocks:
            self.samples += block.shape[-1]
            yield block

    def taken(self, block: Tensor) -> Iterator[Tensor]:
        """A block, or what of it has come in; nothing if that is nothing."""
        block = block[:, : self.samples]
        self.samples -= block.shape[-1]
        if block.shape[-1]:
            yield block
