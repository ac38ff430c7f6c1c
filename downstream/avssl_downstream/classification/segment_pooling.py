"""Embeddings of windows to that of the segment they lie in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# N windows, W numbers of each


def _moments(windows_NW: Tensor) -> Tensor:
    """Mean and deviation of what was heard, out of the windows' means and mean squares."""
    mean, squares = windows_NW.mean(0).chunk(2)
    return torch.cat([mean, (squares - mean.square()).clamp(min=0).sqrt()])


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda windows_NW: windows_NW.mean(0),
    "mean+max": lambda windows_NW: torch.cat([windows_NW.mean(0), windows_NW.amax(0)]),
    "mean+std": lambda windows_NW: torch.cat([windows_NW.mean(0), windows_NW.std(0, correction=0)]),
}
MOMENTS = "moments"


def pooled(windows: list[Tensor], how: str) -> Tensor:
    """One row a segment.

    Args:
        windows: `(N, W)` of each segment.
        how: one of `avssl_downstream.classification.options.POOLS`, or `MOMENTS` for windows of means and mean squares.

    Returns:
        `(segments, W)`, or twice as wide.
    """
    pool = _moments if how == MOMENTS else _FUNCTIONS[how]
    return torch.stack([pool(each.float()) for each in windows])
