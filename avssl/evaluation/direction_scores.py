"""Scores of a map over the sphere against the directions of sources: average precision, and error of its peaks."""

# C cells of a map, N sources

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RADIUS = 20.0
"""Degrees; cells this near to a source are positive, as detections are in DCASE's metrics (Mesaros et al. 2019)."""


def angles_between(directions: Floats, others: Floats) -> Floats:
    """Degrees between unit vectors `(A, 3)` and `(B, 3)`: `(A, B)`.

    Example:
        >>> angles_between(np.eye(3)[:1], np.eye(3)).tolist()
        [[0.0, 90.0, 90.0]]
    """
    degrees: Floats = np.degrees(np.arccos(np.clip(directions @ others.T, -1, 1)))
    return degrees


def near_cells(cells: Floats, sources: Floats, radius: float = RADIUS) -> NDArray[np.bool_]:
    """Whether each cell lies within `radius` degrees of each source; where none does, the nearest cell.

    Args:
        cells: `(C, 3)` unit vectors of their centres.
        sources: `(N, 3)` unit vectors.
        radius: degrees.

    Returns:
        `(C, N)`.
    """
    angles = angles_between(cells, sources)
    return np.asarray(angles <= np.maximum(radius, angles.min(0)))


def positive_cells(cells: Floats, sources: Floats, radius: float = RADIUS) -> NDArray[np.bool_]:
    """Whether cells lie near any source, `(C,)`; see `near_cells`."""
    return np.asarray(near_cells(cells, sources, radius).any(1), np.bool_)


def average_precision(scores: Floats, positive: NDArray[np.bool_], solid_angles: Floats) -> float:
    """Area under the precision-recall curve of the cells of a map, each as heavy as its solid angle.

    Precision-recall as for localization of visual sounds (Mo & Morgado, "A Closer Look at Weakly-Supervised
    Audio-Visual Source Localization", NeurIPS 2022), over the sphere instead of the pixels of an image. Ties are cells
    of one threshold; a map without contrast scores the positive share of the sphere, which is chance.

    Args:
        scores: `(C,)` values of the map.
        positive: `(C,)` at least one.
        solid_angles: `(C,)` weights.

    Example:
        >>> average_precision(np.array([0.9, 0.1, 0.5, 0.2]), np.array([True, False, False, True]), np.ones(4))
        0.8333333333333333
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores, sample_weight=solid_angles))


def positive_share(positive: NDArray[np.bool_], solid_angles: Floats) -> float:
    """Solid angle of the positive cells over that of all: average precision of chance."""
    return float(solid_angles[positive].sum() / solid_angles.sum())


def highest_directions(scores: Floats, cells: Floats, size: tuple[int, int], count: int = 1) -> Floats:
    """Directions of the highest peaks of a map, at least `RADIUS` apart: non-maximum suppression.

    Between the cells: the vertex of the parabola through the highest cell and its neighbours, along row and column, at
    most half a cell away (as peaks of spectra are interpolated, Smith & Serra 1987).

    Args:
        scores: `(C,)` of an equirectangular map.
        cells: `(C, 3)` unit vectors of their centres, row by row.
        size: rows and columns.
        count: number of peaks; at most as many as fit on the sphere.

    Returns:
        `(count, 3)`, highest first.
    """
    left, found = scores.astype(float), []
    for _ in range(count):
        found.append(_vertex(scores.reshape(size), *divmod(int(left.argmax()), size[1])))
        left = np.where(angles_between(cells, found[-1][None])[:, 0] < RADIUS, -np.inf, left)
    return np.stack(found)


def _vertex(map_hw: Floats, row: int, column: int) -> Floats:
    """Direction of the peak around a cell of an equirectangular map; in the first and last row at its elevation."""
    rows, columns = map_hw.shape
    across = map_hw[row, [column - 1, column, (column + 1) % columns]]
    row_offset = _offset(map_hw[row - 1 : row + 2, column]) if 0 < row < rows - 1 else 0.0
    elevation = np.pi * (0.5 - (row + row_offset + 0.5) / rows)
    azimuth = np.pi * (1 - 2 * (column + _offset(across) + 0.5) / columns)
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _offset(three: Floats) -> float:
    """Place of the vertex of the parabola through values at -1, 0 and 1, within half a step of 0."""
    curvature = three[0] - 2 * three[1] + three[2]
    if not curvature < 0:
        return 0.0
    return float(np.clip(0.5 * (three[0] - three[2]) / curvature, -0.5, 0.5))


def matched_errors(guesses: Floats, sources: Floats) -> Floats:
    """Degrees between each source and the guess that the best assignment matches with it.

    The localization error of sound event localization and detection with a known number of sources: one guess for
    each, matched for the least sum of angles (Mesaros et al., "Joint measurement of localization and detection of sound
    events", WASPAA 2019).

    Args:
        guesses: `(N, 3)` unit vectors.
        sources: `(N, 3)`.

    Returns:
        `(N,)`, in the order of the sources.

    Example:
        >>> matched_errors(np.eye(3)[[1, 0]], np.eye(3)[[0, 1]]).tolist()
        [0.0, 0.0]
    """
    angles = angles_between(sources, guesses)
    errors: Floats = angles[scipy.optimize.linear_sum_assignment(angles)]
    return errors
