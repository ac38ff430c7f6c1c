"""Bootstrap confidence intervals of an accuracy, with groups of examples resampled."""

# N predictions, G groups, R bootstrap samples

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
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
    _, index = np.unique(group.cpu().numpy(), return_inverse=True)
    hits = np.bincount(index, correct.cpu().numpy().astype(float)).astype(np.float64)
    count = np.bincount(index).astype(np.int64)
    low, high = np.quantile(_resample(hits, count, resamplings, seed), QUANTILES)
    return Interval(float(hits.sum() / count.sum()), float(low), float(high))


def _resample(hits: NDArray[np.float64], count: NDArray[np.int64], resamplings: int, seed: int) -> NDArray[np.float64]:
    """Accuracies `(R,)` of bootstrap samples, from correct predictions `(G,)` and all predictions `(G,)` per group."""
    rng, groups = np.random.default_rng(seed), len(count)
    rows = max(1, CHUNK // groups)
    accuracies = []
    for start in range(0, resamplings, rows):
        sample = rng.integers(groups, size=(min(rows, resamplings - start), groups))
        accuracies.append(hits[sample].sum(1) / count[sample].sum(1))
    return np.concatenate(accuracies)
