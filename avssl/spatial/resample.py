"""Resampling by a polyphase low-pass filter: whole signals, streams of blocks, and segments of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import ceil, floor, gcd
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class LowPass(NamedTuple):
    """Windowed-sinc filter with its cutoff at the lower rate's Nyquist frequency."""

    crossings: int
    """Zero crossings on either side, in samples of the lower rate."""
    beta: float
    """Kaiser window parameter."""


AUDIO = LowPass(32, 0.1102 * (100.0 - 8.7))
"""Transition band of a tenth of the lower rate's band, stopband at -100 dB (Kaiser's formula): below 16-bit noise."""
RESPONSES = LowPass(10, 5.0)
"""For impulse responses, which begin a few samples after time zero: pre-ringing before that is cut. From 48 to 24 kHz,
this loses 0.5 % of the gain of the spherical head model, `AUDIO` 2 %."""
BLOCK = 10
"""Seconds of audio per block."""


def margin(source: int, target: int) -> float:
    """Seconds of context on either side of a segment that its resampled samples depend on.

    Args:
        source: Hz, input sample rate.
        target: Hz, output sample rate.
    """
    return (AUDIO.crossings + 1) / min(source, target) if source != target else 0.0


def segment_with_context(start: float, seconds: float, source: int, target: int) -> tuple[float, float]:
    """Segment of a file to read, so that its resampled samples equal those of the whole file, resampled.

    Args:
        start: seconds from the beginning of the file.
        seconds: length of the segment.
        source: Hz, sample rate of the file.
        target: Hz, output sample rate.

    Returns:
        Start in seconds, at least 0 and on a sample of both rates, and length in seconds.
    """
    if source == target:
        return start, seconds
    grid, context = gcd(source, target), margin(source, target)
    first = max(0, floor((start - context) * grid)) / grid
    return first, start + seconds + context - first


def resample(audio: Tensor, source: int, target: int, low_pass: LowPass = AUDIO) -> Tensor:
    """Resample audio by a polyphase low-pass filter (Kaiser window), aligned with the input.

    Args:
        audio: `(channels, samples)`.
        source: input sample rate, Hz.
        target: output sample rate, Hz.
        low_pass: `AUDIO`, or `RESPONSES` for impulse responses.

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
    resampled = resample_poly(audio.cpu().numpy(), up, down, axis=1, window=_taps(low_pass, max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(resampled, np.float32)).to(audio.device)


class StreamResampler:
    """Streaming version of `resample`: the same samples, from blocks of any length, with a few milliseconds delay.

    Args:
        channels: channel count.
        source: Hz, input sample rate.
        target: Hz, output sample rate.
    """

    def __init__(self, channels: int, source: int, target: int) -> None:
        self.source, self.target = source, target
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        self._context = ceil(margin(source, target) * source / self._down)  # begins on a sample of either rate
        self._past = self._pending = torch.zeros(channels, 0)

    @property
    def delay(self) -> float:
        """Seconds; largest delay of the output."""
        return (self._context + 1) * self._down / self.source if self._context else 0.0

    def push(self, block: Tensor) -> Tensor:
        """Resample the next block `(channels, samples)`; returns the samples that are final so far, possibly none."""
        if not self._context:
            return block
        self._pending = torch.cat([self._pending.to(block.device), block], 1)
        steps = self._pending.shape[1] // self._down - self._context
        if steps < 1:
            return block[:, :0]
        resampled = self._resample(self._pending[:, : (steps + self._context) * self._down])[:, : steps * self._up]
        past = torch.cat([self._past.to(block.device), self._pending[:, : steps * self._down]], 1)
        self._past = past[:, max(0, past.shape[1] - self._context * self._down) :]
        self._pending = self._pending[:, steps * self._down :]
        return resampled

    def finish(self) -> Tensor:
        """Return the remaining samples `(channels, samples)`, for a total of `ceil(samples * target / source)`."""
        return self._resample(self._pending) if self._pending.numel() else self._pending

    def _resample(self, block: Tensor) -> Tensor:
        """Resample a block after its past context."""
        padded = torch.cat([self._past.to(block.device), block], 1)
        return resample(padded, self.source, self.target)[:, self._past.shape[1] // self._down * self._up :]


def resample_blocks(blocks: Iterable[Tensor], source: int, target: int) -> Iterator[Tensor]:
    """Resample consecutive blocks `(channels, samples)` of any lengths: the samples of `resample` on the whole.

    Args:
        blocks: consecutive blocks of one signal.
        source: Hz, input sample rate.
        target: Hz, output sample rate.

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
    """Regroup audio into blocks of `samples` samples; the last may be shorter."""
    pending: list[Tensor] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += block.shape[1]
        while count >= samples:
            joined = torch.cat(pending, 1)
            yield joined[:, :samples]
            pending, count = [joined[:, samples:]], count - samples
    if count:
        yield torch.cat(pending, 1)


@lru_cache(maxsize=8)
def _taps(low_pass: LowPass, factor: int) -> np.ndarray:
    """Filter float32 `(taps,)` at the common multiple of both rates, `factor` times the lower one."""
    from scipy.signal import firwin

    taps: np.ndarray = firwin(2 * low_pass.crossings * factor + 1, 1 / factor, window=("kaiser", low_pass.beta))
    return taps.astype(np.float32)
