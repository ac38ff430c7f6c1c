"""Binary decision by a threshold on one score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_threshold(matching: Floats, mismatched: Floats) -> float:
    """Threshold with the highest balanced accuracy, where a score of at least the threshold means a match.

    Args:
        matching: scores of matching pairs, at least one.
        mismatched: scores of mismatched pairs, at least one.

    Returns:
        The middle between two neighbouring scores, or infinity where calling everything a mismatch is as good; the
        lowest of equally good ones.

    Example:
        >>> best_threshold(np.array([0.5, 0.9]), np.array([0.1, 0.3]))
        0.4
    """
    scores = np.unique(np.concatenate([matching, mismatched]))
    candidates = np.append((np.append(-np.inf, scores[:-1]) + scores) / 2, np.inf)
    accepted, wrong = (_share_from(each, candidates) for each in (matching, mismatched))
    return float(candidates[np.argmax(accepted - wrong)])


def threshold_accuracy(matching: Floats, mismatched: Floats, threshold: float) -> float:
    """Balanced accuracy of calling scores of at least the threshold a match."""
    return float(((matching >= threshold).mean() + (mismatched < threshold).mean()) / 2)


def _share_from(scores: Floats, thresholds: Floats) -> Floats:
    """Share of scores that are at least as high as each threshold."""
    return np.asarray(1 - np.searchsorted(np.sort(scores), thresholds) / len(scores))
