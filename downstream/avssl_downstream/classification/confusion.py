"""Confusion matrices: counts and figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

MAX_LABELLED = 60
"""Largest number of classes whose names fit beside the matrix."""
MAX_ANNOTATED = 12
"""Largest number of classes whose shares fit inside the cells."""


def confusion_matrix(labels: Tensor, scores: Tensor) -> np.ndarray:
    """Counts of true classes (rows) against predicted classes (columns).

    Args:
        labels: `(N,)` true classes.
        scores: `(N, C)` probabilities.

    Returns:
        Integers `(C, C)`.
    """
    classes = scores.shape[1]
    counts = np.bincount(classes * labels.numpy() + scores.argmax(1).numpy(), minlength=classes**2)
    return counts.reshape(classes, classes)


def plot_confusion_matrix(path: Path, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    """Figure of the confusion matrix, each row normalised to shares.

    Args:
        path: png file.
        counts: `(C, C)`.
        classes: class names.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    inches = min(14.0, max(4.5, 0.3 * len(classes)))
    figure = Figure(figsize=(inches + 1, inches), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, parse_math=False)
    figure.colorbar(axes.imshow(shares, vmin=0, vmax=1, cmap="viridis"), label="share of the row", shrink=0.8)
    if len(classes) <= MAX_LABELLED:
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(ticks, classes, fontsize=7, parse_math=False)
    if len(classes) <= MAX_ANNOTATED:
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share < 0.6 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=7)
    figure.savefig(path, format="png", dpi=120)
