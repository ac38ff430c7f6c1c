"""The one resampler: a polyphase low-pass filter, the same samples whole, in blocks or for a segment of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import ceil, floor, gcd
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class LowPass(NamedTuple):
    """Windowed-sinc filter with its edge at the lower rate's Nyquist frequency."""

    crossings: int
    """Zero crossings on either side, in samples of the lower rate."""
    beta: float
    """Of the Kaiser window."""


AUDIO = LowPass(32, 0.1102 * (100.0 - 8.7))
"""Fades out over a tenth of the lower rate's band, down by 100 dB (Kaiser's formula): below the noise of
16 bits."""
RESPONSES = LowPass(10, 5.0)
"""For impulse responses, which begin a few samples after time zero: ringing before that is lost. `AUDIO` would cost 2 %
of the gain of a spherical head from 48 to 24 kHz, this 0.5 %."""
BLOCK = 10
"""Seconds of audio in memory at once."""


def margin(source: int, target: int) -> float:
    """Seconds of audio on either side of a segment that its resampled samples depend on.

    Args:
        source: Hz, rate of the segment.
        target: Hz, rate wanted.
    """
    return (AUDIO.crossings + 1) / min(source, target) if source != target else 0.0


def widened(start: float, seconds: float, source: int, target: int) -> tuple[float, float]:
    """The segment to read for one whose resampled samples shall be those of the whole, resampled.

    Args:
        start: seconds from the beginning of the file.
        seconds: length wanted.
        source: Hz, rate of the file.
        target: Hz, rate wanted.

    Returns:
        Where to read from, not before 0, on a sample of either rate; and how many seconds.
    """
    if source == target:
        return start, seconds
    grid, wide = gcd(source, target), margin(source, target)
    first = max(0, floor((start - wide) * grid)) / grid
    return first, start + seconds + wide - first


def resample(audio: Tensor, source: int, target: int, low_pass: LowPass = AUDIO) -> Tensor:
    """Audio at another rate, through a polyphase low-pass filter (Kaiser window), aligned with the input.

    Args:
        audio: `(channels, samples)`.
        source: its rate, Hz.
        target: the rate wanted, Hz.
        low_pass: `RESPONSES` for filters.

    Returns:
        float32 `(channels, ceil(samples * target / source))`, on the device of `audio`.

    Example:
        >>> resample(torch.zeros(4, 48000), source=48000, target=24000).shape
        torch.Size([4, 24000])
    """
    if source == target:
        return audio
    from scipy.signal import resample_poly  # 0.5 s to import

    common = gcd(source, target)
    up, down = target // common, source // common
    changed = resample_poly(audio.cpu().numpy(), up, down, axis=1, window=_taps(low_pass, max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(changed, np.float32)).to(audio.device)


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
        self._context = ceil(margin(source, target) * source / self._down)  # begins on a sample of either rate
        self._before = self._held = torch.zeros(channels, 0)

    @property
    def delay(self) -> float:
        """Seconds by which output may lag behind input."""
        return (self._context + 1) * self._down / self.source if self._context else 0.0

    def push(self, block: Tensor) -> Tensor:
        """Take the next block `(channels, samples)`, and return the samples that no later input changes; maybe none."""
        if not self._context:
            return block
        self._held = torch.cat([self._held.to(block.device), block], 1)
        steps = self._held.shape[1] // self._down - self._context
        if steps < 1:
            return block[:, :0]
        made = self._resampled(self._held[:, : (steps + self._context) * self._down])[:, : steps * self._up]
        past = torch.cat([self._before.to(block.device), self._held[:, : steps * self._down]], 1)
        self._before = past[:, max(0, past.shape[1] - self._context * self._down) :]
        self._held = self._held[:, steps * self._down :]
        return made

    def finish(self) -> Tensor:
        """Return the rest, `(channels, samples)`; `ceil(samples * target / source)` have left in all."""
        return self._resampled(self._held) if self._held.numel() else self._held

    def _resampled(self, block: Tensor) -> Tensor:
        """A block, resampled after the context that came before it."""
        wide = torch.cat([self._before.to(block.device), block], 1)
        return resample(wide, self.source, self.target)[:, self._before.shape[1] // self._down * self._up :]


def resample_blocks(blocks: Iterable[Tensor], source: int, target: int) -> Iterator[Tensor]:
    """Audio in blocks `(channels, samples)` of any lengths, to the samples that `resample` gives of the whole.

    Args:
        blocks: one after the other.
        source: Hz, their rate.
        target: Hz, rate wanted.

    Yields:
        Blocks of about `BLOCK` seconds.
    """
    stream: StreamResampler | None = None
    for block in in_blocks(blocks, BLOCK * source):
        stream = stream or StreamResampler(len(block), source, target)
        yield stream.push(block)
    if stream is not None and (rest := stream.finish()).shape[1]:
        yield rest


def in_blocks(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The same audio in blocks of `samples` samples, the last one of fewer."""
    waiting: list[Tensor] = []
    held = 0
    for block in blocks:
        waiting.append(block)
        held += block.shape[1]
        while held >= samples:
            joined = torch.cat(waiting, 1)
            yield joined[:, :samples]
            waiting, held = [joined[:, samples:]], held - samples
    if held:
        yield torch.cat(waiting, 1)


@lru_cache(maxsize=8)
def _taps(low_pass: LowPass, widest: int) -> np.ndarray:
    """float32 `(taps,)` at the common multiple of both rates."""
    from scipy.signal import firwin

    taps: np.ndarray = firwin(2 * low_pass.crossings * widest + 1, 1 / widest, window=("kaiser", low_pass.beta))
    return taps.astype(np.float32)
