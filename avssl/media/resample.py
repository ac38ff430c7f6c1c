"""Sound at another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import gcd

import numpy as np
import torch
from torch import Tensor

CROSSINGS = 32
"""Zero crossings of the low-pass filter on either side: it fades out over a tenth of the lower rate's band."""
STOP_DB = 100.0
"""What is left of what lies above the band: nothing that 16 bits could hold."""
BLOCK = 10
"""Seconds of sound in memory at once."""
MARGIN = 1
"""Seconds of sound on either side of a block that its resampling sees: more than the filter is long."""


def resample(audio: Tensor, source: int, target: int) -> Tensor:
    """Sound at another rate, through a polyphase low-pass filter (Kaiser window), aligned with what it was.

    Args:
        audio: `(channels, samples)`.
        source: its rate, Hz.
        target: the rate wanted, Hz.

    Returns:
        float32 `(channels, ceil(samples * target / source))`, on the sound's device.

    Example:
        >>> resample(torch.zeros(4, 48000), source=48000, target=24000).shape
        torch.Size([4, 24000])
    """
    if source == target:
        return audio
    from scipy.signal import resample_poly  # 0.5 s to import

    common = gcd(source, target)
    up, down = target // common, source // common
    changed = resample_poly(audio.cpu().numpy(), up, down, axis=1, window=_low_pass(max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(changed, np.float32)).to(audio.device)


def resample_blocks(blocks: Iterable[Tensor], source: int, target: int) -> Iterator[Tensor]:
    """A sound that comes in blocks `(channels, samples)` of any lengths, as if it were resampled in one piece.

    What is resampled at once are whole seconds, so that it begins on a sample at either rate.
    """
    margin, before, held = MARGIN * source, torch.zeros(0), torch.zeros(0)
    for block in in_blocks(blocks, BLOCK * source):
        if held.numel():
            wide = resample(torch.cat([before.to(held.device), held, block[:, :margin]], 1), source, target)
            yield wide[:, bool(before.numel()) * MARGIN * target :][:, : BLOCK * target]
        before, held = held[:, -margin:] if held.numel() else block[:, :0], block
    if held.numel():
        wide = resample(torch.cat([before.to(held.device), held], 1), source, target)
        yield wide[:, bool(before.numel()) * MARGIN * target :]


def in_blocks(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The same sound in blocks of so many samples, the last one of fewer."""
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
def _low_pass(widest: int) -> np.ndarray:
    """Coefficients of a filter with its edge at the lower rate's Nyquist frequency."""
    from scipy.signal import firwin, kaiser_beta

    taps: np.ndarray = firwin(2 * CROSSINGS * widest + 1, 1 / widest, window=("kaiser", kaiser_beta(STOP_DB)))
    return taps.astype(np.float32)
