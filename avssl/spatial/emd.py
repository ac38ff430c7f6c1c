"""Earth mover's distance (EMD) between distributions on the sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import angle_between

Masses = NDArray[np.float64]
MAX_ITERATIONS = 10_000_000
"""Iterations of the network simplex; more than maps of a thousand points need."""


def great_circle_distances(azimuth: Tensor, elevation: Tensor) -> NDArray[np.float64]:
    """Pairwise great-circle angles of directions, each `(points,)`: `(points, points)` in radians."""
    azimuth, elevation = azimuth.double(), elevation.double()
    angle: NDArray[np.float64] = angle_between(azimuth[:, None], elevation[:, None], azimuth, elevation).numpy()
    return angle


def earth_movers_distance(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    """Cost of the optimal transport between masses of the same total, by the network simplex method.

    Args:
        masses: `(points,)`, not negative.
        others: `(points,)`, of the same sum.
        ground: ground distances `(points, points)`.

    Returns:
        Sum of moved mass times distance.

    Raises:
        ValueError: a mass that is negative or not finite.

    Example:
        >>> import torch
        >>> azimuth = torch.tensor([0.0, torch.pi / 2])
        >>> ground = great_circle_distances(azimuth, torch.zeros(2))
        >>> work = earth_movers_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]), ground)
        >>> round(float(np.rad2deg(work)), 3)
        90.0
    """
    if not (np.isfinite(masses).all() and np.isfinite(others).all() and min(masses.min(), others.min()) >= 0):
        raise InputError("expected finite masses of 0 or more, got negative ones, NaN or Inf")
    # Common mass stays in place (triangle inequality), which halves the problem.
    common = np.minimum(masses, others)
    source, sink = masses - common, others - common
    return _transport_cost(source, sink, ground) if source.sum() > 1e-15 * masses.sum() else 0.0


def emd_hat(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    """EMD-hat (Pele & Werman 2008): cost of transporting the common mass, plus the largest distance per excess unit.

    The penalty is the default of their program.
    """
    excess = float(masses.sum() - others.sum())
    if excess < 0:
        return emd_hat(others, masses, ground.T)
    # A bin at distance 0 takes the excess of the heavier distribution, from any point; the penalty is the same for all.
    with_bin = np.pad(ground, ((0, 1), (0, 1)))
    with_bin[-1, :-1] = ground.max()
    work = _transport_cost(np.append(masses, 0.0), np.append(others, excess), with_bin)
    return work + excess * float(ground.max())


def _transport_cost(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    # Two seconds to import, with scikit-learn.
    from ot import emd2

    sources, sinks = masses > 0, others > 0
    total = masses.sum()
    if not total > 0 or not sinks.any():
        return 0.0
    cost = np.ascontiguousarray(ground[np.ix_(sources, sinks)])
    return float(emd2(masses[sources] / total, others[sinks] / others.sum(), cost, numItermax=MAX_ITERATIONS)) * float(
        total
    )
