"""Forced choice of the matching pair, among two and among all of a batch, and its ideal observers.

An ideal observer of kinds accepts an audio and a frame if every kind that sounds is seen; among pairs that it accepts
alike, it guesses.
"""

# N clips, M kinds of objects

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def forced_choice(similarity: Floats) -> tuple[float, float]:
    """Accuracies of forced choice from a square matrix of similarities, averaged over both retrieval directions.

    Ties share the credit, as guessing among them does.

    Args:
        similarity: `(N, N)`, N at least 2; matching pairs on the diagonal.

    Returns:
        Fraction of queries whose own partner is the most similar among all N (chance 1 / N), and fraction of pairs of
        a matching and another partner in which the matching one is more similar (chance 1 / 2).

    Example:
        >>> forced_choice(np.eye(4)), forced_choice(np.zeros((4, 4)))
        ((1.0, 1.0), (0.25, 0.5))
    """
    found = [(accuracy_among_all(each), _among_two(each)) for each in (similarity, similarity.T)]
    among_all, among_two = np.mean(found, 0).tolist()
    return among_all, among_two


def accuracy_among_all(similarity: Floats) -> float:
    """Share of rows of `(N, N)` whose diagonal entry is the largest, ties shared."""
    best = similarity == similarity.max(1, keepdims=True)
    return float((best.diagonal() / best.sum(1)).mean())


def accepted_by_kinds(sounding: NDArray[np.bool_], seen: NDArray[np.bool_]) -> Floats:
    """Similarities of the ideal observer of kinds: 1 where every kind that sounds is seen, else 0.

    Args:
        sounding: `(N, M)` kinds that sound in each clip.
        seen: `(N, M)` kinds that are seen.

    Returns:
        `(N, N)`: audio by frames.
    """
    missing = sounding.astype(float) @ (~seen).astype(float).T
    accepted: Floats = (missing == 0).astype(float)
    return accepted


def _among_two(similarity: Floats) -> float:
    """Share of other entries of a row below its diagonal entry; equal ones count half."""
    others = ~np.eye(len(similarity), dtype=bool)
    own = similarity.diagonal()[:, None]
    return float(((own > similarity)[others] + 0.5 * (own == similarity)[others]).mean())
