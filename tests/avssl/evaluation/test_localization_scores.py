"""Scores of heat maps and observers on windows with known answers."""

import math

import numpy as np
import pytest

from avssl.evaluation.direction_scores import average_precision, positive_cells, positive_share
from avssl.evaluation.localization_scores import LocalizationScores, weighted_median
from avssl.evaluation.scene_truth import SceneObjects
from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import direction
from avssl.spatial.energy_map import equirectangular_grid

GRID = equirectangular_grid(32, 64)
CELLS = direction(*GRID).flatten(0, 1).double().numpy()
SOLID_ANGLES = cell_solid_angles(32, 64).flatten().double().numpy()
AXES = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
CELL = math.degrees(math.hypot(math.pi / 64, math.pi / 64))


def window(kind: list[int], sounding: list[bool], visible: list[bool] | None = None) -> SceneObjects:
    """Objects on the horizon, a quarter turn apart."""
    count = len(kind)
    seen = np.array(visible or [True] * count)
    return SceneObjects(np.array(kind), np.array(sounding), seen, AXES[:count], np.full(count, 0.2))


def scored(objects: SceneObjects, values: np.ndarray, times: int = 1) -> dict[str, float]:
    scores = LocalizationScores(GRID)
    for _ in range(times):
        scores.add(values, objects)
    return scores.metrics()


def nearness(*places: int) -> np.ndarray:
    return np.asarray((CELLS @ AXES[list(places)].T).max(1))


def test_a_map_of_nearness_to_all_sources_is_perfect_with_one_and_with_several() -> None:
    one = scored(window([0, 1], [True, False]), nearness(0))
    assert one["average_precision_one_source"] == pytest.approx(1)
    assert one["peak_error_mean"] <= CELL
    assert not [name for name in one if "many" in name or "matched" in name]
    several = scored(window([0, 1, 2], [True, True, False]), nearness(0, 1))
    assert several["average_precision_many_sources"] == pytest.approx(1)
    assert several["matched_error_mean"] <= CELL
    assert not [name for name in several if "one" in name or "peak" in name]


def test_peaks_are_matched_with_sources_and_each_source_has_its_error() -> None:
    values = np.zeros(len(CELLS))
    for value, azimuth in ((2.0, 0.0), (1.9, 0.2), (1.0, 0.7)):  # the second belongs to the peak of the first
        values[(CELLS @ [math.cos(azimuth), math.sin(azimuth), 0]).argmax()] = value
    found = scored(window([0, 1], [True, True]), values)
    assert found["matched_error_median"] <= CELL  # the lower of two
    assert found["matched_error_mean"] == pytest.approx((90 - math.degrees(0.7)) / 2, abs=CELL)


def test_observers_of_a_scene_with_a_silent_twin_by_hand() -> None:
    objects = window([0, 0, 1], [True, False, False])
    found = scored(objects, nearness(0))
    near = [positive_cells(CELLS, AXES[[place]]) for place in range(3)]
    share = positive_share(near[0], SOLID_ANGLES)
    assert found["average_precision_one_source_chance"] == share
    # Among ties precision is that of all tied cells; the cells beyond come last.
    assert found["average_precision_one_source_ideal"] == pytest.approx(1 / 2, abs=0.01)
    assert found["average_precision_one_source_any_object"] == pytest.approx(1 / 3, abs=0.01)
    everything = average_precision(sum(near).astype(float), near[0], SOLID_ANGLES)  # type: ignore[union-attr]
    assert found["average_precision_one_source_any_object"] == pytest.approx(everything)
    assert found["peak_error_mean_ideal"] == pytest.approx((0 + 90) / 2)
    assert found["peak_error_mean_any_object"] == pytest.approx((0 + 90 + 180) / 3)
    assert found["peak_error_mean_chance"] == 90


def test_the_observer_of_kinds_is_perfect_for_other_kinds_and_at_chance_unseen() -> None:
    found = scored(window([0, 1, 2, 3], [True, True, False, False]), nearness(0, 1))
    assert found["average_precision_many_sources_ideal"] == pytest.approx(1)
    assert found["matched_error_mean_ideal"] == pytest.approx(0, abs=1e-5)
    assert 20 < found["matched_error_mean_any_object"] < 90
    hidden = scored(window([0, 1], [True, True], [False, False]), nearness(0), times=200)
    for name in ("average_precision_many_sources", "matched_error_mean"):
        assert hidden[f"{name}_ideal"] == pytest.approx(hidden[f"{name}_chance"], rel=0.05)


def test_two_random_guesses_matched_to_two_sources_are_nearer_than_90_degrees() -> None:
    """Opposite sources: the better of two assignments, by simulation with other random numbers."""
    rng = np.random.default_rng(5)
    guesses = rng.normal(size=(20000, 2, 3))
    angles = np.degrees(np.arccos(guesses[..., 0] / np.linalg.norm(guesses, axis=-1)))
    straight, crossed = angles[:, 0] + 180 - angles[:, 1], angles[:, 1] + 180 - angles[:, 0]
    expected = np.minimum(straight, crossed).mean() / 2
    found = scored(window([0, 1, 2], [True, False, True]), nearness(0), times=300)
    assert found["matched_error_mean_chance"] == pytest.approx(expected, rel=0.03)


def test_windows_without_sources_are_left_out() -> None:
    assert scored(window([0, 1], [False, False]), nearness(0)) == {}


def test_weighted_median_counts_weights() -> None:
    assert weighted_median(np.array([[3.0, 1.0], [1.0, 0.5], [2.0, 0.5]])) == 2
    assert weighted_median(np.array([[3.0, 1.1], [1.0, 0.5], [2.0, 0.5]])) == 3
