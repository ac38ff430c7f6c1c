"""A participant in Chromium: consent, a film, an answer, back to the one before, a server that is gone for a while."""

import time

import numpy as np
import pytest

from avssl.media import write_audio, write_video
from avssl.study.answers import Answers, plain_code
from avssl.study.study_folder import make_study
from avssl.study.study_spec import StudyFilm, StudySpec
from avssl.web.server import running
from avssl.web.study_page import open_study_films, study_page

pytestmark = pytest.mark.browser
CONDITIONS = ("recorded", "ours")


@pytest.fixture
def study(tmp_path):
    """Two films of 2 s, each in one of two conditions, without checks."""
    found = []
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", [np.full((64, 128, 3), 120, np.uint8)] * 16, 8)
        for condition in CONDITIONS:
            noise = np.random.default_rng(0).normal(0, 0.05, 96000) * np.array([[1.0], [0.5], [0.0], [0.5]])
            write_audio(tmp_path / f"{name}-{condition}.wav", noise, 48000)
        tracks = {condition: tmp_path / f"{name}-{condition}.wav" for condition in CONDITIONS}
        found.append(StudyFilm(name, tmp_path / f"{name}.mp4", tracks))
    return make_study(StudySpec(tuple(found), title="Rooms", attention_checks=0), tmp_path / "study", progress=False)


def _wait(driver, script, wanted=True, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if driver.execute_script(f"return {script}") == wanted:
            return
        time.sleep(0.1)
    raise AssertionError((script, driver.execute_script(f"return {script}"), driver.get_log("browser")))


TEXT = "document.getElementById('{}').textContent"
ENABLED = "[...document.querySelectorAll('#answers button')].map((each) => !each.disabled)"


def _answer(driver, question, answer):
    """Wait for a question, play until it can be answered, answer."""
    _wait(driver, TEXT.format("progress"), question)
    _wait(driver, ENABLED, [False, False])
    driver.find_element("id", "play").click()
    _wait(driver, ENABLED, [True, True])
    driver.find_element("css selector", f"[data-answer={answer}]").click()


def test_a_participant_agrees_answers_goes_back_and_comes_to_the_end(chromium, study, tmp_path):
    (tmp_path / "converted").mkdir()
    with Answers(study) as answers:
        films = open_study_films(study, tmp_path / "converted", progress=False)
        page = study_page(study, answers, films, None, "t" * 32)
        with running(page) as address:
            chromium.get(address)
            _wait(chromium, TEXT.format("consent"), study.spec.consent)
            chromium.find_element("id", "start").click()
            _answer(chromium, "Question 1 of 2", "real")
            _wait(chromium, TEXT.format("progress"), "Question 2 of 2")
            code = plain_code(chromium.execute_script("return new URLSearchParams(location.search).get('code')"))
            assert answers.participant(code).answers == {0: "real"}
            chromium.back()
            _wait(chromium, TEXT.format("progress"), "Question 1 of 2")
            _wait(chromium, "document.querySelector('[data-answer=real]')?.ariaPressed", "true")
            _answer(chromium, "Question 1 of 2", "fake")
            _answer(chromium, "Question 2 of 2", "real")
            _wait(chromium, "document.getElementById('end').hidden", False)
        assert answers.participant(code).answers == {0: "fake", 1: "real"}
        stored = answers.all()
        assert [(each.changes, each.headset) for each in stored] == [(1, False), (0, False)]
        assert stored[1].seconds > 0.9
