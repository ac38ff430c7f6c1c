"""Plot of detected misalignments over their angle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

BINS = 9
"""Bins of 20 degrees."""


def plot_angles(path: Path, misaligned_correct: Tensor, angle: Tensor, aligned_correct: Tensor) -> None:
    """Plot the share of misalignments that a probe detects over their angle.

    Args:
        path: png file.
        misaligned_correct: `(N,)` bool, whether each misaligned pair is classified as misaligned.
        angle: `(N,)` misalignment in radians.
        aligned_correct: `(N,)` bool, whether each aligned pair is classified as aligned.
    """
    from matplotlib.figure import Figure

    degrees = np.degrees(angle.numpy())
    bin_index = np.minimum(degrees * BINS / 180, BINS - 1).astype(int)
    count, hits = (
        np.bincount(bin_index, weights, BINS)
        for weights in (np.ones(len(bin_index)), misaligned_correct.numpy().astype(float))
    )
    filled = count > 0
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="misalignment of the audio (degrees)", ylabel="share detected", xlim=(0, 180), ylim=(0, 1.02)
    )
    axes.plot(
        ((np.arange(BINS) + 0.5) * 180 / BINS)[filled], (hits / np.maximum(count, 1))[filled], "o-", label="misaligned"
    )
    axes.axhline(1 - float(aligned_correct.float().mean()), color="grey", linestyle=":", label="aligned (false alarms)")
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120)
