"""Share of misaligned pairs that a probe detects, over their angle: table and plot."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

BINS = 9
"""Bins of 20 degrees."""


class Detected(NamedTuple):
    """Pairs of a range of angles; aligned ones have the range from 0 to 0."""

    from_degrees: float
    to_degrees: float
    pairs: int
    detected: float
    """Share of them that the probe takes for misaligned; of aligned pairs, its false alarms."""


def detection_by_angle(misaligned_correct: Tensor, angle: Tensor, aligned_correct: Tensor) -> list[Detected]:
    """Shares of pairs that a probe takes for misaligned: of aligned ones, then of each range of angles that occurs.

    Args:
        misaligned_correct: `(N,)` bool, whether each misaligned pair is classified as misaligned.
        angle: `(N,)` misalignment in radians, from 0 to pi.
        aligned_correct: `(N,)` bool, whether each aligned pair is classified as aligned.
    """
    width = 180 / BINS
    bin_index = np.minimum(np.degrees(angle.numpy()) / width, BINS - 1).astype(int)
    found = [Detected(0.0, 0.0, len(aligned_correct), 1 - float(aligned_correct.float().mean()))]
    for place in np.unique(bin_index).tolist():
        inside = misaligned_correct[bin_index == place]
        found.append(Detected(width * place, width * (place + 1), len(inside), float(inside.float().mean())))
    return found


def write_detection(path: Path, found: list[Detected]) -> None:
    """Write the shares as a table with a heading."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Detected._fields)
        writer.writerows((*each[:-1], f"{each.detected:.6g}") for each in found)


def plot_detection(path: Path, found: list[Detected]) -> None:
    """Plot the shares as png, those of misaligned pairs at the middle of their range."""
    from matplotlib.figure import Figure

    aligned, *misaligned = found
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="misalignment of the audio (degrees)", ylabel="share detected", xlim=(0, 180), ylim=(0, 1.02)
    )
    middles = [(each.from_degrees + each.to_degrees) / 2 for each in misaligned]
    axes.plot(middles, [each.detected for each in misaligned], "o-", label="misaligned")
    axes.axhline(aligned.detected, color="grey", linestyle=":", label="aligned (false alarms)")
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=120)
