import math

import numpy as np
import pytest

from avssl.annotation.agreement import agreement, box_iou, krippendorff_alpha, temporal_iou
from avssl.annotation.annotation_file import FilmAnnotations
from avssl.annotation.film_segments import KeyFrame, Segment
from avssl.errors import InputError

KRIPPENDORFF_2011 = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Example C of Krippendorff, Computing Krippendorff's Alpha-Reliability: four observers, twelve units."""


def _film(*segments, done=False):
    made = (
        Segment(str(number), label, start, end, boxes) for number, (label, start, end, *boxes) in enumerate(segments)
    )
    return FilmAnnotations(done, {each.id: each for each in made})


def test_alpha_is_that_of_the_example_of_krippendorff():
    rows = [line.split() for line in KRIPPENDORFF_2011.split("\n") if line]
    units = [[value for value in column if value != "."] for column in zip(*rows, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_one_for_equal_annotators_and_nan_where_only_one_class_occurs():
    assert krippendorff_alpha([("a", "a"), ("b", "b")]) == 1
    assert krippendorff_alpha([("a", "b"), ("b", "a")]) == pytest.approx(1 - 3 * 4 / 8)
    assert math.isnan(krippendorff_alpha([("a", "a"), ("a", "a")]))


def test_temporal_iou_counts_seconds_of_one_class():
    one, other = _film(("dog", 0, 4), ("cat", 6, 8)), _film(("dog", 2, 5), ("bird", 6, 8))
    assert temporal_iou(one, other) == pytest.approx((2, 5 + 2 + 2))
    assert temporal_iou(_film(("dog", 0, 3), ("dog", 2, 4)), _film(("dog", 0, 4))) == pytest.approx((4, 4))


def test_box_iou_is_shared_area_over_area_of_both():
    assert box_iou(np.array([0, 0, 0.5, 0.5]), np.array([0.25, 0, 0.75, 0.5])) == pytest.approx(1 / 3)
    assert box_iou(np.array([0, 0, 0.5, 0.5]), np.array([0.5, 0.5, 1, 1])) == 0


def test_agreement_of_two_annotators_has_closed_form_values():
    """Ten seconds: both dog in 2..6, one alone in 0..2, neither in 6..10; boxes shifted by half their width."""
    boxes = [(KeyFrame(0.0, (0.0, 0.0, 0.4, 1.0)),), (KeyFrame(0.0, (0.2, 0.0, 0.6, 1.0)),)]
    one, other = (_boxed(start, box) for start, box in zip((0, 2), boxes, strict=True))
    found = agreement(None, {"eva": {"a.mp4": one}, "ben": {"a.mp4": other}}, {"a.mp4": 10.0})
    [pair] = found.pairs
    agreed, chance = 0.8, 0.6 * 0.4 + 0.4 * 0.6
    assert pair.kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert pair.temporal_iou == pytest.approx(4 / 6)
    assert pair.box_iou == pytest.approx(1 / 3)
    number, values = 200, (100, 100)  # dog and none, of both annotators together
    disagreed, expected = 2 * 20, number * number - sum(value**2 for value in values)
    assert found.alpha == pytest.approx(1 - (number - 1) * disagreed / expected)
    assert "ben eva" in found.text()


def _boxed(start, boxes):
    return FilmAnnotations(False, {"d": Segment("d", "dog", float(start), 6.0, boxes)})


def test_films_of_one_annotator_and_suggestions_do_not_count():
    suggested = FilmAnnotations(False, {"d": Segment("d", "dog", 0.0, 1.0, suggested=True)})
    with pytest.raises(InputError, match="expected films that two annotators have annotated, got none"):
        agreement("films", {"eva": {"a.mp4": _film(("dog", 0, 1))}, "ben": {"a.mp4": suggested}}, {"a.mp4": 10.0})


def test_a_done_film_without_segments_counts_as_silent():
    found = agreement(
        "films", {"eva": {"a.mp4": _film(("dog", 0, 5))}, "ben": {"a.mp4": _film(done=True)}}, {"a.mp4": 10.0}
    )
    assert found.pairs[0].temporal_iou == 0
    assert found.pairs[0].kappa == pytest.approx(0)
    assert found.to_json()["pairs"][0]["box_iou"] is None
