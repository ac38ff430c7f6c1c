"""Plot of detected misalignments over their angle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

BINS = 9
"""Of 20 degrees each."""


def draw_angles(path: Path, noticed: Tensor, angle: Tensor, kept: Tensor) -> None:
    """Plot the share of misalignments that a probe detects over their angle.

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
