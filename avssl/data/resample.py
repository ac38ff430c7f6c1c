"""Sound at another rate."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import torch
from scipy.signal import firwin, kaiser_beta, resample_poly
from torch import Tensor

CROSSINGS = 32
"""Zero crossings of the low-pass filter on either side: it fades out over a tenth of the lower rate's band."""
STOP_DB = 100.0
"""What is left of what lies above the band: nothing that 16 bits could hold."""


def resample(sound: Tensor, source: int, target: int) -> Tensor:
    """Sound at another rate, through a polyphase low-pass filter (Kaiser window), aligned with what it was.

    Args:
        sound: `(channels, samples)`.
        source: its rate, Hz.
        target: the rate wanted, Hz.

    Returns:
        float32 `(channels, ceil(samples * target / source))`.
    """
    if source == target:
        return sound
    common = gcd(source, target)
    up, down = target // common, source // common
    changed = resample_poly(sound.numpy(), up, down, axis=1, window=_low_pass(max(up, down)))
    return torch.from_numpy(np.ascontiguousarray(changed, np.float32))


@lru_cache(maxsize=8)
def _low_pass(widest: int) -> np.ndarray:
    """Coefficients of a filter with its edge at the lower rate's Nyquist frequency."""
    taps: np.ndarray = firwin(2 * CROSSINGS * widest + 1, 1 / widest, window=("kaiser", kaiser_beta(STOP_DB)))
    return taps.astype(np.float32)
