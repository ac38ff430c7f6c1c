"""Accuracies of a probe with what they leave uncertain, and over the angle of misalignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

BINS = 9
"""Of 20 degrees each."""


def accuracy(right: Tensor, clip: Tensor, resamplings: int, seed: int) -> tuple[float, float, float]:
    """Share of judgements that are right and its 95 % bootstrap interval.

    Clips are resampled, not draws: draws of one clip are alike, and taking them for independent would make the interval
    too narrow. The same goes for other groups of what is judged, such as the clips of one recording.

    Args:
        right: `(judgements,)` bool.
        clip: `(judgements,)` which clip each is of.
        resamplings: number of bootstrap samples.
        seed: of them.

    Returns:
        Accuracy, and the 2.5 % and 97.5 % quantiles.
    """
    _, place = np.unique(clip.numpy(), return_inverse=True)
    hits, count = np.bincount(place, right.numpy().astype(float)), np.bincount(place)
    picked = np.random.default_rng(seed).integers(len(count), size=(resamplings, len(count)))
    low, high = np.quantile(hits[picked].sum(1) / count[picked].sum(1), [0.025, 0.975])
    return float(hits.sum() / count.sum()), float(low), float(high)


def draw_angles(path: Path, noticed: Tensor, angle: Tensor, kept: Tensor) -> None:
    """A picture: how often a misalignment is noticed, over its angle.

    Args:
        path: of the png.
        noticed: `(N,)` bool, of the misaligned draws.
        angle: `(N,)` radians.
        kept: `(N,)` bool, aligned draws taken for aligned.
    """
    from matplotlib.figure import Figure

    degrees = np.degrees(angle.numpy())
    place = np.minimum(degrees * BINS / 180, BINS - 1).astype(int)
    count, hits = (
        np.bincount(place, weights, BINS) for weights in (np.ones(len(place)), noticed.numpy().astype(float))
    )
    filled = count > 0
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="turn of the sound (degrees)", ylabel="share noticed", xlim=(0, 180), ylim=(0, 1.02)
    )
    axes.plot(
        ((np.arange(BINS) + 0.5) * 180 / BINS)[filled], (hits / np.maximum(count, 1))[filled], "o-", label="turned"
    )
    axes.axhline(1 - float(kept.float().mean()), color="grey", linestyle=":", label="not turned (false alarms)")
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120)
