"""Earth mover's distances against linear programming and closed forms on the sphere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from avssl.spatial.ambisonics import angle_between, encode, rotate, rotation
from avssl.spatial.emd import earth_movers_distance, great_circle_distances
from avssl.spatial.energy_map import emd, emd_legacy, energy_towards, equal_area_grid, legacy_grid


def programmed(masses, others, ground):
    """Optimal transport by linear programming."""
    n, m = ground.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    solved = linprog(ground.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([masses, others]))
    assert solved.success
    return solved.fun


def hat(masses, others, ground):
    """Partial transport of the lighter mass, plus the largest distance for the excess, by linear programming."""
    n, m = ground.shape
    less = min(masses.sum(), others.sum())
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    solved = linprog(
        ground.ravel(),
        A_ub=np.vstack([rows, columns]),
        b_ub=np.concatenate([masses, others]),
        A_eq=np.ones((1, n * m)),
        b_eq=[less],
    )
    assert solved.success
    return solved.fun + abs(masses.sum() - others.sum()) * ground.max()


def test_emd_equals_linear_programming():
    random = np.random.default_rng(0)
    ground = great_circle_distances(*equal_area_grid(30))
    for _ in range(4):
        one, two = random.random((2, 30)) * (random.random((2, 30)) > 0.3)
        one, two = one / one.sum(), two / two.sum()
        assert earth_movers_distance(one, two, ground) == pytest.approx(programmed(one, two, ground), abs=1e-9)


def test_emd_of_two_points_is_their_angle():
    azimuth, elevation = equal_area_grid(252)
    for first, second in [(0, 251), (17, 200), (100, 101)]:
        maps = torch.zeros(2, 252)
        maps[0, first], maps[1, second] = 3.0, 6.0
        found = emd(*maps)
        angle = angle_between(azimuth[first], elevation[first], azimuth[second], elevation[second]).rad2deg()
        assert found.degrees == pytest.approx(float(angle), abs=1e-3)
        assert found.mass_ratio == pytest.approx(0.5)


@pytest.mark.parametrize("apart", [10.0, 45.0, 90.0, 180.0])
def test_emd_of_two_plane_waves_has_its_closed_form(generator, apart):
    # (1 + u n) / 4 pi less (1 + v n) / 4 pi is |u - v| t / 4 pi along one axis; moved along meridians, that is
    # |u - v| / 2 times the integral of t asin(t) over -1..1, which is pi / 4.
    signal = torch.randn(400, generator=generator)
    maps = [energy_towards(encode(signal, math.radians(at), 0.0), *equal_area_grid(252)) for at in (20.0, 20.0 + apart)]
    assert emd(*maps).degrees == pytest.approx(45 * math.sin(math.radians(apart) / 2), abs=0.06)


def test_emd_is_invariant_to_rotation(generator):
    fields = torch.randn(2, 4, 300, generator=generator)
    rotated = rotate(fields, rotation(0.7, 0.4, -1.1))
    grid = equal_area_grid(252)
    before, after = (emd(*(energy_towards(field, *grid) for field in each)) for each in (fields, rotated))
    assert before.degrees == pytest.approx(after.degrees, abs=0.05)


def test_emd_is_symmetric_level_invariant_and_zero_for_equal_maps(generator):
    one, two = torch.rand(2, 100, generator=generator)
    assert emd(one, two).degrees == pytest.approx(emd(two, one).degrees, rel=1e-6)
    assert emd(one, 5 * one).degrees == pytest.approx(0, abs=1e-5)
    assert emd(one, 5 * one).mass_ratio == pytest.approx(0.2)


def test_published_emd_is_partial_transport_with_a_penalty():
    random = np.random.default_rng(1)
    ground = great_circle_distances(*legacy_grid())
    one, two = random.random(84), 1.7 * random.random(84)
    for first, second in ((one, two), (two, one)):
        found = emd_legacy(torch.from_numpy(first), torch.from_numpy(second), scale=1.0)
        assert found == pytest.approx(hat(first / 84, second / 84, ground), rel=1e-6)
    printed = emd_legacy(torch.from_numpy(one), torch.from_numpy(two))
    assert printed == pytest.approx(math.sqrt(4800) * emd_legacy(torch.from_numpy(one), torch.from_numpy(two), 1.0))


def test_published_grid_has_each_pole_twelve_times():
    azimuth, elevation = legacy_grid()
    assert azimuth.shape == (84,)
    assert int((elevation > 1.57).sum()) == int((elevation < -1.57).sum()) == 12


def test_silent_maps_and_other_grids_are_errors():
    with pytest.raises(ValueError, match="silent in every direction"):
        emd(torch.zeros(50), torch.ones(50))
    with pytest.raises(ValueError, match="two maps on one grid"):
        emd(torch.ones(50), torch.ones(60))
    with pytest.raises(ValueError, match="0 or more"):
        emd(torch.ones(50), torch.ones(50) - 1.5 * torch.eye(50)[0])
    with pytest.raises(ValueError, match="84 points"):
        emd_legacy(torch.ones(50), torch.ones(50))
