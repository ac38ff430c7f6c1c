"""The least work that turns one distribution on a sphere into another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import angle_between

Masses = NDArray[np.float64]
MOST_STEPS = 10_000_000
"""Of the network simplex; more than maps of a thousand points ever take."""


def great_circles(azimuth: Tensor, elevation: Tensor) -> NDArray[np.float64]:
    """Angles between every two of some directions, each `(points,)`: `(points, points)` in radians."""
    across, up = azimuth.double(), elevation.double()
    angle: NDArray[np.float64] = angle_between(across[:, None], up[:, None], across, up).numpy()
    return angle


def earth_movers_distance(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    """Work of the best way to move some masses to others of the same total, by the network simplex method.

    Args:
        masses: `(points,)`, none negative.
        others: `(points,)`, of the same sum.
        ground: what it takes to move a unit from each point to each, `(points, points)`.

    Returns:
        The sum of what is moved times how far.

    Raises:
        ValueError: a mass that is negative or no number.

    Example:
        >>> import torch
        >>> azimuth = torch.tensor([0.0, torch.pi / 2])
        >>> ground = great_circles(azimuth, torch.zeros(2))
        >>> work = earth_movers_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]), ground)
        >>> round(float(np.rad2deg(work)), 3)
        90.0
    """
    if not (np.isfinite(masses).all() and np.isfinite(others).all() and min(masses.min(), others.min()) >= 0):
        raise InputError("masses to be moved are finite and not negative, here are others")
    # What stands still need not be moved: the triangle inequality makes half of the problem nothing.
    still = np.minimum(masses, others)
    source, sink = masses - still, others - still
    return _moved(source, sink, ground) if source.sum() > 1e-15 * masses.sum() else 0.0


def least_work_with_penalty(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    """Work of moving as much as both have, plus the largest distance for each unit of what one has more (EMD-hat).

    Pele & Werman 2008, as their program computes it when no penalty is given.
    """
    rest = float(masses.sum() - others.sum())
    if rest < 0:
        return least_work_with_penalty(others, masses, ground.T)
    # Any of the heavier one's mass may stay behind for nothing; the penalty is the same whichever does.
    with_bin = np.pad(ground, ((0, 1), (0, 1)))
    with_bin[-1, :-1] = ground.max()
    work = _moved(np.append(masses, 0.0), np.append(others, rest), with_bin)
    return work + rest * float(ground.max())


def _moved(masses: Masses, others: Masses, ground: NDArray[np.float64]) -> float:
    # It takes two seconds to import, with scikit-learn in its train.
    from ot import emd2

    come, go = masses > 0, others > 0
    total = masses.sum()
    if not total > 0 or not go.any():
        return 0.0
    cost = np.ascontiguousarray(ground[np.ix_(come, go)])
    return float(emd2(masses[come] / total, others[go] / others.sum(), cost, numItermax=MOST_STEPS)) * float(total)
