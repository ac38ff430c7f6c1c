import csv
import json
import math

import pytest
from scipy.stats import binomtest

from avssl.errors import InputError
from avssl.study.answers import Answers
from avssl.study.share_figure import share_figure
from avssl.study.shares import holm, wilson_share
from avssl.study.study_report import study_report, write_study_report

Z = 1.959963984540054


def _wilson(count, answers):
    """Closed form of Wilson 1927."""
    share, scale = count / answers, 1 + Z**2 / answers
    centre = (share + Z**2 / (2 * answers)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / answers + Z**2 / (4 * answers**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@pytest.mark.parametrize(("count", "answers"), [(0, 5), (5, 5), (3, 10), (174, 280), (25, 45)])
def test_intervals_are_those_of_wilson(count, answers):
    share = wilson_share("ours", "", "all", count, answers)
    assert (share.low, share.high) == pytest.approx(_wilson(count, answers), abs=1e-12)
    assert share.p is None


def test_preference_is_tested_exactly():
    share = wilson_share("ours", "mono", "all", 9, 10)
    assert share.p == pytest.approx(2 * (10 + 1) / 2**10)


def test_p_values_are_corrected_by_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def _take(answers, answer, headset=False, careless=False):
    one = answers.join()
    for at, trial in enumerate(one.trials):
        wrong = {"fake": "real", "A": "B", "B": "A"}
        given = (wrong[trial.right] if careless else trial.right) if trial.check else answer(trial)
        one = answers.answer(one, at, given, 2.0, headset)


def _called(trial):
    return "real" if trial.conditions == ("recorded",) else "fake"


def test_shares_by_condition_leave_out_participants_who_failed_a_check(study, tmp_path):
    with Answers(study) as answers:
        for number in range(6):
            _take(answers, _called, headset=number % 2 == 0)
        _take(answers, lambda trial: "real", careless=True)
        answers.join()
        careless = answers.arrived()[6].code
    report = write_study_report(study, tmp_path / "report")
    found = {(each.viewing, each.condition): (each.count, each.answers) for each in report.shares}
    assert found == {
        ("all", "recorded"): (6, 6), ("all", "ours"): (0, 6), ("all", "mono"): (0, 6),
        ("headset", "recorded"): (3, 3), ("headset", "ours"): (0, 3), ("headset", "mono"): (0, 3),
        ("browser", "recorded"): (3, 3), ("browser", "ours"): (0, 3), ("browser", "mono"): (0, 3),
    }  # fmt: skip
    assert (report.participants, report.finished, report.excluded) == (8, 7, {careless: 2})
    assert study_report(study, allowed_failures=2).excluded == {}
    rows = list(csv.DictReader((tmp_path / "report" / "answers.csv").open()))
    assert len(rows) == 35
    assert {row["participant"] for row in rows if row["excluded"] == "1"} == {careless}
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    interval = binomtest(6, 6).proportion_ci(method="wilson")
    assert (stored["shares"][0]["low"], stored["shares"][0]["high"]) == (interval.low, interval.high)
    assert "| all | recorded | 100.0 % | 61.0 to 100.0 % | 6 |" in (tmp_path / "report" / "report.md").read_text()


def test_the_figure_has_a_bar_of_its_share_and_an_interval_for_each_condition(study):
    with Answers(study) as answers:
        for number in range(6):
            _take(answers, _called, headset=number % 2 == 0)
    report = study_report(study)
    [axes] = share_figure(report).axes
    heights = sorted(patch.get_height() for patch in axes.patches)
    assert heights == pytest.approx(sorted(100 * each.share for each in report.shares))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["recorded", "ours", "mono"]
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "all\n18 answers", "headset\n9 answers", "browser\n9 answers",
    ]  # fmt: skip


def test_preferences_are_counted_whichever_side_they_stood_on(preference):
    rank = ["mono", "ours", "recorded"]
    with Answers(preference) as answers:
        for _ in range(9):
            _take(answers, lambda trial: "AB"[max((0, 1), key=lambda side: rank.index(trial.conditions[side]))])
    report = study_report(preference)
    found = {(each.viewing, each.condition, each.other): each for each in report.shares}
    for pair in (("recorded", "ours"), ("recorded", "mono"), ("ours", "mono")):
        share = found["all", *pair]
        assert share.count == share.answers == 9
        assert share.p == pytest.approx(2 / 2**9)
        assert share.p_holm == pytest.approx(3 * 2 / 2**9)
    assert "| all | recorded | ours | 100.0 % |" in report.markdown()


def test_a_study_without_answers_that_count_is_one_line(study):
    with pytest.raises(InputError, match="expected answers, got 0 of which none count"):
        study_report(study)
