"""Pooling of window embeddings to segment embeddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# N windows, W embedding width


def _mean_and_deviation(windows_NW: Tensor) -> Tensor:
    """Mean and standard deviation over a segment, from the means and mean squares of its windows."""
    mean, squares = windows_NW.mean(0).chunk(2)
    return torch.cat([mean, (squares - mean.square()).clamp(min=0).sqrt()])


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda windows_NW: windows_NW.mean(0),
    "mean+max": lambda windows_NW: torch.cat([windows_NW.mean(0), windows_NW.amax(0)]),
    "mean+std": lambda windows_NW: torch.cat([windows_NW.mean(0), windows_NW.std(0, correction=0)]),
}
MOMENTS = "moments"


def pool_windows(windows: list[Tensor], statistics: str) -> Tensor:
    """Pool the windows of each segment.

    Args:
        windows: embeddings `(N, W)` of each segment.
        statistics: one of `avssl_downstream.classification.options.POOLS`, or `MOMENTS` for windows of means and mean
            squares.

    Returns:
        `(segments, W)`, or twice as wide.
    """
    pool = _mean_and_deviation if statistics == MOMENTS else _FUNCTIONS[statistics]
    return torch.stack([pool(each.float()) for each in windows])
