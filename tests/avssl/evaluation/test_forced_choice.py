"""Forced choice and the ideal observer of kinds, against counts by hand."""

import numpy as np
import pytest

from avssl.evaluation.forced_choice import accepted_by_kinds, forced_choice


def test_forced_choice_counts_by_hand() -> None:
    similarity = np.array([[3.0, 1.0, 2.0], [4.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
    # By rows 0 and 2 are right, by columns 1 and 2; of pairs, 5 of 6 by rows and 5 of 6 by columns.
    assert forced_choice(similarity) == pytest.approx((4 / 6, 10 / 12))


def test_ties_share_the_credit_of_a_guess() -> None:
    assert forced_choice(np.zeros((32, 32))) == pytest.approx((1 / 32, 0.5))
    assert forced_choice(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx((0.75, 0.75))


def test_random_similarities_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = np.mean([forced_choice(rng.standard_normal((32, 32))) for _ in range(2000)], 0)
    assert found == pytest.approx((1 / 32, 0.5), abs=0.004)


def test_observer_of_kinds_accepts_frames_that_show_all_that_sounds() -> None:
    sounding = np.array([[True, False, False], [True, True, False]])
    seen = np.array([[True, False, True], [True, True, False]])
    assert accepted_by_kinds(sounding, seen).tolist() == [[1.0, 1.0], [0.0, 1.0]]
