"""Statistics over videos of equal weight, against closed forms, scipy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from avssl.errors import InputError
from avssl.evaluation.video_bootstrap import video_interval


def test_a_video_with_many_values_weighs_as_one_with_few() -> None:
    values, videos = [1.0, 0.0, 0.0, 0.0, 0.5, 0.5], ["a", "b", "b", "b", "c", "c"]
    assert video_interval(values, videos).value == pytest.approx(0.5)
    shuffled = [4, 0, 5, 2, 1, 3]
    again = video_interval([values[each] for each in shuffled], [videos[each] for each in shuffled])
    assert again == pytest.approx(video_interval(values, videos))


def test_the_interval_of_one_value_a_video_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=30)
    found = video_interval(values.tolist(), [str(each) for each in range(30)], resamplings=20000)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", random_state=1)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.02)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.02)


def test_equal_values_within_videos_do_not_narrow_the_interval() -> None:
    once = video_interval([0.0, 1.0, 0.0, 1.0], list("abcd"))
    often = video_interval([0.0, 1.0, 0.0, 1.0] * 50, list("abcd") * 50)
    assert often == pytest.approx(once)


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [4.0, 1.0, 2.0, 3.0], [5.0]])
def test_the_median_of_one_value_a_video_is_that_of_numpy(values: list[float]) -> None:
    found = video_interval(values, [str(each) for each in range(len(values))], "median")
    assert found.value == np.median(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)


def test_the_median_weighs_videos_alike() -> None:
    values, videos = [1.0] * 9 + [10.0, 20.0], ["a"] * 9 + ["b", "c"]
    assert video_interval(values, videos, "median").value == 10.0


def test_values_without_their_videos_are_refused() -> None:
    for values, videos in (([], []), ([1.0], [])):
        with pytest.raises(InputError, match="expected a video for each of one or more values"):
            video_interval(values, videos)
