"""Signals between their samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def interpolate(signal: NDArray[np.float32], instants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a signal between its samples, by Lagrange's cubic through the four nearest."""
    whole = np.clip(np.floor(instants).astype(np.int64), 1, len(signal) - 3)
    x = instants - whole
    below, above = x - 1, x + 1
    weights = (-x * below * (x - 2) / 6, above * below * (x - 2) / 2, -above * x * (x - 2) / 2, above * x * below / 6)
    return np.asarray(sum(weight * signal[whole + k - 1] for k, weight in enumerate(weights)))
