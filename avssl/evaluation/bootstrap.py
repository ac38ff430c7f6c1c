"""Bootstrap confidence intervals of accuracies and other ratios, with groups of examples resampled."""

# N predictions, G groups, R bootstrap samples

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avssl.errors import InputError

QUANTILES = (0.025, 0.975)
"""Ends of a 95 % interval."""
CHUNK = 1_000_000
"""Group indices sampled at once: 8 MB, and as much for each array indexed by them."""


class Interval(NamedTuple):
    """An accuracy and its 95 % bootstrap interval."""

    accuracy: float
    low: float
    high: float


def accuracy_interval(correct: Tensor, group: Tensor, resamplings: int, seed: int) -> Interval:
    """Accuracy and its 95 % percentile bootstrap interval (Efron 1979), in memory independent of `resamplings`.

    Groups are resampled, not predictions: predictions for one clip, or clips of one recording, are correlated, and
    treating them as independent would make the interval too narrow.

    Args:
        correct: `(N,)` bool.
        group: `(N,)` integer, the group of each prediction, such as its clip.
        resamplings: R, number of bootstrap samples.
        seed: seed of the resampling.

    Returns:
        Accuracy over all predictions, and the 2.5 % and 97.5 % quantiles of the bootstrap samples' accuracies.

    Raises:
        InputError: no prediction, or not one group for each.

    Example:
        >>> import torch
        >>> correct, clip = torch.tensor([True, True, False, True]), torch.tensor([0, 0, 1, 1])
        >>> accuracy_interval(correct, clip, resamplings=1000, seed=0)
        Interval(accuracy=0.75, low=0.5, high=1.0)
    """
    if not correct.numel() or correct.shape != group.shape:
        raise InputError(
            f"expected one group for each of one or more predictions, got shapes {tuple(correct.shape)} and "
            f"{tuple(group.shape)}"
        )
    hits, groups = correct.cpu().numpy(), group.cpu().numpy()
    return Interval(*ratio_interval(hits, np.ones(len(hits)), groups, resamplings, seed))


def ratio_interval(
    parts: ArrayLike, wholes: ArrayLike, group: ArrayLike, resamplings: int, seed: int
) -> tuple[float, float, float]:
    """Ratio of two sums over examples, and its 95 % percentile bootstrap interval over groups.

    Args:
        parts: `(N,)`, such as the energy of the error of each clip.
        wholes: `(N,)`, not negative, such as the energy of each clip; their sum is above 0.
        group: `(N,)`, the group of each example, such as its recording.
        resamplings: R, number of bootstrap samples.
        seed: seed of the resampling.

    Returns:
        The ratio, and the 2.5 % and 97.5 % quantiles of the bootstrap samples' ratios.

    Example:
        >>> ratio_interval([1.0, 1.0], [2.0, 2.0], ["a", "b"], resamplings=10, seed=0)
        (0.5, 0.5, 0.5)
    """
    _, index = np.unique(np.asarray(group), return_inverse=True)
    over, under = (np.bincount(index, np.asarray(each)).astype(np.float64) for each in (parts, wholes))
    low, high = np.nanquantile(_resample(over, under, resamplings, seed), QUANTILES)
    return float(over.sum() / under.sum()), float(low), float(high)


def _resample(
    over: NDArray[np.float64], under: NDArray[np.float64], resamplings: int, seed: int
) -> NDArray[np.float64]:
    """Ratios `(R,)` of bootstrap samples, from both sums of each group `(G,)`; nan where a sample's is 0."""
    rng, groups = np.random.default_rng(seed), len(under)
    rows = max(1, CHUNK // groups)
    ratios = []
    for start in range(0, resamplings, rows):
        sample = rng.integers(groups, size=(min(rows, resamplings - start), groups))
        whole = under[sample].sum(1)
        ratios.append(np.where(whole > 0, over[sample].sum(1) / np.where(whole > 0, whole, 1.0), np.nan))
    return np.concatenate(ratios)
