from collections import Counter
from itertools import pairwise

import pytest

from avssl.study.study_spec import StudySpec
from avssl.study.trial_order import CHECK, trials_of, williams_row


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9])
def test_orders_are_balanced_in_places_and_in_what_follows_what(count):
    rows = [williams_row(count, number) for number in range(count if count % 2 == 0 else 2 * count)]
    times = len(rows) // count
    places = Counter((at, treatment) for row in rows for at, treatment in enumerate(row))
    assert set(places.values()) == {times}
    assert len(places) == count**2
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert set(follows.values()) == {times}
    assert len(follows) == count * (count - 1)


def test_each_film_has_each_condition_at_each_place_equally_often(films):
    spec = StudySpec(films, attention_checks=0)
    count = Counter(
        (at, trial.film, trial.conditions)
        for participant in range(2 * len(films) * len(spec.conditions))
        for at, trial in enumerate(trials_of(spec, participant))
    )
    assert set(count.values()) == {2}
    assert len(count) == 27


def test_a_participant_sees_each_film_once_or_in_all_conditions(films):
    once = trials_of(StudySpec(films, attention_checks=0), 5)
    assert sorted(trial.film for trial in once) == [0, 1, 2]
    every = trials_of(StudySpec(films, attention_checks=0, all_conditions=True), 5)
    assert sorted((trial.film, *trial.conditions) for trial in every) == sorted(
        (film, condition) for film in range(3) for condition in ("recorded", "ours", "mono")
    )


def test_both_sides_of_a_pair_are_equally_often_first(films):
    spec = StudySpec(films, question="preference", attention_checks=0)
    orders = Counter(trial.conditions for participant in range(36) for trial in trials_of(spec, participant))
    assert set(orders.values()) == {18}
    assert len(orders) == 6


def test_checks_have_a_right_answer_and_never_come_first(films):
    for participant in range(20):
        trials = trials_of(StudySpec(films, attention_checks=2), participant)
        checks = [trial for trial in trials if trial.check]
        assert len(trials) == 5
        assert not trials[0].check
        assert [(trial.conditions, trial.right) for trial in checks] == [((CHECK,), "fake")] * 2
        pairs = trials_of(StudySpec(films, question="preference", attention_checks=2), participant)
        for trial in pairs:
            if trial.check:
                assert trial.conditions["AB".index(trial.right)] == "recorded"
                assert CHECK in trial.conditions


def test_orders_are_those_of_the_seed(films):
    one, same, other = (StudySpec(films, seed=seed) for seed in (1, 1, 2))
    assert [trials_of(one, number) for number in range(6)] == [trials_of(same, number) for number in range(6)]
    assert [trials_of(one, number) for number in range(6)] != [trials_of(other, number) for number in range(6)]
