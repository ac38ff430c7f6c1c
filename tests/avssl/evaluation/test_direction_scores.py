"""Scores of maps over the sphere: closed forms, and scikit-learn on counted cells."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from avssl.evaluation.direction_scores import (
    angles_between,
    average_precision,
    highest_directions,
    matched_errors,
    positive_cells,
    positive_share,
)
from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import direction
from avssl.spatial.energy_map import equirectangular_grid

CELLS = direction(*equirectangular_grid(64, 128)).flatten(0, 1).double().numpy()
SOLID_ANGLES = cell_solid_angles(64, 128).flatten().double().numpy()
SOURCES = np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])


def test_positive_share_is_that_of_the_spherical_cap() -> None:
    for radius in (20.0, 60.0):
        share = positive_share(positive_cells(CELLS, SOURCES[1:], radius), SOLID_ANGLES)
        assert share == pytest.approx((1 - math.cos(math.radians(radius))) / 2, rel=0.03)


def test_a_coarse_grid_has_at_least_the_nearest_cell_of_each_source() -> None:
    coarse = direction(*equirectangular_grid(2, 4)).flatten(0, 1).double().numpy()
    positive = positive_cells(coarse, SOURCES, 1.0)
    assert 1 <= positive.sum() < len(coarse)
    assert positive[angles_between(coarse, SOURCES).argmin(0)].all()


def test_precision_of_nearness_is_1_without_contrast_chance_reversed_least() -> None:
    nearness, positive = (CELLS @ SOURCES.T).max(1), positive_cells(CELLS, SOURCES)
    share = positive_share(positive, SOLID_ANGLES)
    assert average_precision(nearness, positive, SOLID_ANGLES) == pytest.approx(1)
    assert average_precision(np.zeros(len(CELLS)), positive, SOLID_ANGLES) == pytest.approx(share)
    # Integral over the recall r of r share / (1 - share + r share).
    worst = 1 + (1 - share) / share * math.log(1 - share)
    assert average_precision(-nearness, positive, SOLID_ANGLES) == pytest.approx(worst, rel=0.05)


def test_a_cell_of_twice_the_solid_angle_counts_as_two_cells() -> None:
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=20), rng.random(20) < 0.4
    times = rng.integers(1, 4, 20)
    counted = average_precision_score(np.repeat(positive, times), np.repeat(scores, times))
    assert average_precision(scores, positive, times.astype(float)) == pytest.approx(counted)


def test_peaks_are_the_modes_of_a_map_and_not_the_neighbours_of_the_highest() -> None:
    cosine = CELLS @ SOURCES.T
    peaks = highest_directions(np.exp(30 * (cosine - 1)) @ np.array([1.0, 0.5]), CELLS, (64, 128), 2)
    assert np.all(angles_between(peaks, SOURCES).diagonal() < 0.5)


@pytest.mark.parametrize("azimuth", [180.0, 179.0, -178.0, 3.0, 47.0])
@pytest.mark.parametrize("elevation", [0.0, -21.0, 50.0])
def test_peaks_lie_between_the_cells_also_at_the_seam(azimuth: float, elevation: float) -> None:
    coarse = direction(*equirectangular_grid(16, 32)).flatten(0, 1).double().numpy()
    source = direction(torch.tensor(math.radians(azimuth)), torch.tensor(math.radians(elevation))).double().numpy()
    peak = highest_directions(coarse @ source, coarse, (16, 32))
    assert angles_between(peak, source[None]).item() < 0.6  # centres of cells are up to 8 degrees away


def test_a_peak_in_the_first_row_and_a_flat_map_are_at_the_centre_of_a_cell() -> None:
    coarse = direction(*equirectangular_grid(4, 8)).flatten(0, 1).double().numpy()
    top = np.zeros(32)
    top[5] = 1.0
    np.testing.assert_allclose(highest_directions(top, coarse, (4, 8)), coarse[5:6], atol=1e-6)
    np.testing.assert_allclose(highest_directions(np.zeros(32), coarse, (4, 8)), coarse[:1], atol=1e-6)


def test_sources_are_matched_for_the_least_sum_of_angles() -> None:
    degrees = np.radians([0.0, 10.0, 90.0])
    on_a_circle = np.stack([np.cos(degrees), np.sin(degrees), 0 * degrees], 1)
    np.testing.assert_allclose(matched_errors(on_a_circle[[2, 0]], on_a_circle[[1, 2]]), [10, 0], atol=1e-5)
    # The nearest guess to both sources is the one at 10 degrees, which only one of them gets.
    np.testing.assert_allclose(matched_errors(on_a_circle[[1, 2]], on_a_circle[[0, 1]]), [10, 80], atol=1e-5)
