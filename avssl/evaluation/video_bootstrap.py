"""Means and medians over videos, each as heavy as any other, with bootstrap intervals over videos."""

# V videos, N values, R bootstrap samples

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.evaluation.bootstrap import QUANTILES

Floats = NDArray[np.float64]
STATISTICS = ("mean", "median")
CHUNK = 1_000_000
"""Weights of values sampled at once: 8 MB."""


class VideoInterval(NamedTuple):
    """A statistic over videos and its 95 % interval."""

    value: float
    low: float
    high: float


def video_interval(
    values: Sequence[float], videos: Sequence[str], statistic: str = "mean", resamplings: int = 2000, seed: int = 0
) -> VideoInterval:
    """Mean or median in which each video weighs the same, and its percentile interval (Efron 1979) over videos.

    Videos are resampled with all their values: clips of one video, windows of one clip and repeated evaluations of one
    window are correlated.

    Args:
        values: N values.
        videos: name of the video of each.
        statistic: mean, or median: of the values, those of a video sharing its weight.
        resamplings: R.
        seed: of the resampling.

    Raises:
        InputError: no values, or not a video for each.

    Example:
        >>> video_interval([1.0, 0.0, 0.0, 0.0, 0.0], ["a", "b", "b", "b", "b"])
        VideoInterval(value=0.5, low=0.0, high=1.0)
    """
    if not len(values) or len(values) != len(videos):
        raise InputError(f"expected a video for each of one or more values, got {len(videos)} and {len(values)}")
    found, place = np.asarray(values, float), np.unique(np.asarray(videos), return_inverse=True)[1]
    share = (1 / np.bincount(place))[place]
    rng, count = np.random.default_rng(seed), place.max() + 1
    statistics = {"mean": _means, "median": _medians}[statistic]
    whole = statistics(found, share[None])
    samples = []
    rows = max(1, CHUNK // len(found))
    for start in range(0, resamplings, rows):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(rows, resamplings - start))
        samples.append(statistics(found, drawn[:, place] * share))
    low, high = np.quantile(np.concatenate(samples), QUANTILES)
    return VideoInterval(float(whole[0]), float(low), float(high))


def _means(values: Floats, weights: Floats) -> Floats:
    """Weighted means `(R,)` of values `(N,)` by weights `(R, N)`."""
    means: Floats = weights @ values / weights.sum(1)
    return means


def _medians(values: Floats, weights: Floats) -> Floats:
    """Weighted medians `(R,)`: where values on either side weigh half, the middle of both."""
    order = np.argsort(values, kind="stable")
    ranked, cumulated = values[order], np.cumsum(weights[:, order], 1)
    half = cumulated[:, -1:] / 2
    margin = 1e-9 * half
    lower = (cumulated >= half - margin).argmax(1)
    upper = (cumulated > half + margin).argmax(1)
    medians: Floats = (ranked[lower] + ranked[upper]) / 2
    return medians
