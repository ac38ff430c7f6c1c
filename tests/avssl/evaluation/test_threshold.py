"""Threshold on one score against all thresholds by hand."""

import numpy as np
import pytest

from avssl.evaluation.threshold import best_threshold, threshold_accuracy


def test_the_best_of_all_thresholds_is_found() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        matching, mismatched = rng.integers(0, 9, size) + 1.0, rng.integers(0, 9, size + 3) * 1.0
        every = [threshold_accuracy(matching, mismatched, each) for each in (*np.arange(-1, 11, 0.5), np.inf)]
        found = threshold_accuracy(matching, mismatched, best_threshold(matching, mismatched))
        assert found == pytest.approx(max(every))


def test_separate_scores_are_split_in_the_middle_and_equal_ones_at_chance() -> None:
    assert best_threshold(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1.5
    same = np.ones(5)
    assert threshold_accuracy(same, same, best_threshold(same, same)) == 0.5


def test_accuracy_is_balanced() -> None:
    assert threshold_accuracy(np.ones(2), np.array([0.0] * 30 + [1.0] * 10), 0.5) == pytest.approx((1 + 0.75) / 2)


def test_an_observer_that_sees_a_share_of_sources_has_half_of_it_above_chance() -> None:
    """Sources in view decide, the others leave one answer: with a share q in view the accuracy is (1 + q) / 2."""
    for in_view in (0.0, 0.25, 0.8):
        matching = np.where(np.arange(100) < 100 * in_view, 1.0, 0.0)
        mismatched = np.where(np.arange(100) < 100 * in_view, -100.0, 0.0)
        threshold = best_threshold(matching, mismatched)
        assert threshold_accuracy(matching, mismatched, threshold) == pytest.approx((1 + in_view) / 2)
