"""Intervals against scipy's tests, and against how often they hold the truth."""

import math

import numpy as np
import pytest
from scipy import stats

from avssl.report.statistics import difference, over_seeds


def numbered(values, first=0):
    return dict(enumerate(map(float, values), first))


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_interval_of_a_mean_is_students(count):
    values = np.random.default_rng(count).normal(0.8, 0.02, count)
    found, expected = over_seeds(values.tolist()), stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.value, found.deviation) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.seeds, found.method) == (count, "t")


@pytest.mark.parametrize("count", [2, 3, 8])
def test_difference_of_rows_of_the_same_seeds_is_the_paired_test(count):
    rng = np.random.default_rng(count)
    a, b = rng.normal(0.8, 0.02, count), rng.normal(0.7, 0.05, count)
    expected = stats.ttest_rel(a, b).confidence_interval()
    found = difference(numbered(a), dict(reversed(numbered(b).items())))
    assert (found.low, found.high, found.value) == pytest.approx((expected.low, expected.high, (a - b).mean()))
    assert (found.seeds, found.method) == (count, "paired")


@pytest.mark.parametrize(("count", "other"), [(2, 2), (3, 2), (2, 5), (4, 9)])
def test_difference_of_rows_of_other_seeds_is_welchs_test(count, other):
    rng = np.random.default_rng(count)
    a, b = rng.normal(0.8, 0.02, count), rng.normal(0.7, 0.05, other)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    found = difference(numbered(a), numbered(b, first=1))
    assert (found.low, found.high, found.value) == pytest.approx((expected.low, expected.high, a.mean() - b.mean()))
    assert (found.seeds, found.method) == (min(count, other), "welch")


def test_intervals_of_three_seeds_hold_the_truth_95_times_in_100():
    rng = np.random.default_rng(0)
    shared, own, other = rng.normal(0, 0.03, (4000, 3)), *rng.normal(0, 0.01, (2, 4000, 3))
    held = np.zeros(3)
    for common, mine, theirs in zip(shared, own, other, strict=True):
        row, baseline = numbered(0.8 + common + mine), numbered(0.7 + common + theirs)
        found = [over_seeds(row.values()), difference(row, baseline), difference(row, numbered(baseline.values(), 9))]
        held += [each.low < truth < each.high for each, truth in zip(found, (0.8, 0.1, 0.1), strict=True)]
    assert held[:2] / 4000 == pytest.approx(0.95, abs=0.012)
    assert held[2] / 4000 > 0.95  # not paired, what both share only widens it


def test_one_seed_has_no_interval():
    for found in (
        over_seeds([0.7]),
        difference({0: 0.7}, {0: 0.6}),
        difference({0: 0.7}, {1: 0.6}),
        difference({0: 0.7, 1: 0.8}, {0: 0.6}),
    ):
        assert math.isnan(found.low)
        assert found.method == ""
    assert difference({0: 0.7, 1: 0.8}, {0: 0.6}).value == pytest.approx(0.15)


def test_equal_numbers_leave_no_doubt():
    same = {0: 0.75, 1: 0.75}
    for found in (over_seeds(same.values()), difference(same, {0: 0.5, 1: 0.5}), difference(same, {7: 0.5, 8: 0.5})):
        assert found.low == found.value == found.high
