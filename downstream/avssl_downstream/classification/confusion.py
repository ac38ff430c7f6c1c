"""Confusion matrices: what was taken for what, counted and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

NAMED = 60
"""Classes whose names can still be read beside the matrix."""
COUNTED = 12
"""Classes whose shares can still be read inside it."""


def confusion(labels: Tensor, scores: Tensor) -> np.ndarray:
    """How often each class, a row, was taken for each, a column.

    Args:
        labels: `(N,)`.
        scores: `(N, C)`.

    Returns:
        Integers `(C, C)`.
    """
    classes = scores.shape[1]
    counts = np.bincount(classes * labels.numpy() + scores.argmax(1).numpy(), minlength=classes**2)
    return counts.reshape(classes, classes)


def draw_confusion(path: Path, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    """A picture: of each class, a row, the share taken for each, a column.

    Args:
        path: of the png.
        counts: `(C, C)`.
        classes: names of them.
        title: above the picture.
    """
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    inches = min(14.0, max(4.5, 0.3 * len(classes)))
    figure = Figure(figsize=(inches + 1, inches), layout="constrained")
    axes = figure.add_subplot(xlabel="taken for", ylabel="is")
    axes.set_title(title, parse_math=False)
    figure.colorbar(axes.imshow(shares, vmin=0, vmax=1, cmap="viridis"), label="share of the row", shrink=0.8)
    if len(classes) <= NAMED:
        places = range(len(classes))
        axes.set_xticks(places, classes, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(places, classes, fontsize=7, parse_math=False)
    if len(classes) <= COUNTED:
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share < 0.6 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=7)
    figure.savefig(path, format="png", dpi=120)
