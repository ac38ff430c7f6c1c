"""A study over HTTP: simulated participants, going back, a killed server, requests that no page makes."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from scipy.stats import binomtest

from avssl.media import write_audio, write_video
from avssl.study.answers import Answers
from avssl.study.study_folder import make_study, read_study
from avssl.study.study_report import study_report
from avssl.study.study_spec import StudyFilm, StudySpec
from avssl.study.trial_order import CHECK
from avssl.web.play.sound_track import unpack_block
from avssl.web.server import running
from avssl.web.study_page import open_study_films, study_page

AVSSL = str(Path(sys.executable).with_name("avssl"))
TONES = {"recorded": 300.0, "ours": 600.0, "mono": 1200.0}
SECONDS = 4


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Three films of 4 s with a first-order tone of its own frequency in each condition."""
    folder, found = tmp_path_factory.mktemp("films"), []
    times = np.arange(48000 * SECONDS) / 48000
    for number in range(3):
        video = folder / f"{number}.mp4"
        write_video(video, [np.full((64, 128, 3), 60 * number, np.uint8)] * (8 * SECONDS), 8)
        tracks = {}
        for condition, tone in TONES.items():
            tracks[condition] = folder / f"{number}-{condition}.wav"
            sound = 0.1 * np.sin(2 * np.pi * tone * times)
            write_audio(tracks[condition], sound * np.array([[1.0], [0.0], [0.0], [1.0]]), 48000)
        found.append(StudyFilm(f"film {number}", video, tracks))
    return tuple(found)


@pytest.fixture(scope="module")
def folder(films, tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study"
    make_study(StudySpec(films, title="Rooms"), path, progress=False)
    return path


@pytest.fixture
def page(folder, tmp_path):
    """A client of a served study without answers so far."""
    for left in folder.glob("answers.sqlite*"):
        left.unlink()
    study = read_study(folder)
    with Answers(study) as answers:
        films = open_study_films(study, tmp_path, progress=False)
        with (
            running(study_page(study, answers, films, None, "t" * 32)) as address,
            httpx.Client(base_url=address, timeout=120, verify=False) as client,
        ):
            yield client


def _join(client):
    return client.post("participants", json={"consent": True}).json()["code"]


def _answer(client, code, trial, answer, seconds=4.5, headset=False):
    values = {"answer": answer, "seconds": seconds, "headset": headset}
    return client.post(f"participants/{code}/{trial}/answer", json=values)


def _tone(client, code, trial):
    """Frequency of a trial's sound as a listener would measure it; 0: noise."""
    block = client.get(f"participants/{code}/{trial}/tracks/0/0").content
    spectrum = np.abs(np.fft.rfft(unpack_block(block, 4)[0]))
    return float(spectrum.argmax()) if spectrum.max() > 20 * spectrum.mean() else 0.0


def test_twelve_simulated_participants_give_the_wilson_intervals_of_scipy(page, folder):
    """They judge by what they receive: the tone of `recorded` is real, of `ours` in part, all else fake."""
    for number in range(12):
        code = _join(page)
        count = page.get(f"participants/{code}.json").json()["trials"]
        for trial in range(count):
            tone = _tone(page, code, trial)
            real = tone == TONES["recorded"] or (tone == TONES["ours"] and number % 3 == 0)
            assert _answer(page, code, trial, "real" if real else "fake", headset=number % 2 == 0).status_code == 200
    report = study_report(read_study(folder))
    found = {each.condition: each for each in report.shares if each.viewing == "all"}
    assert {name: each.answers for name, each in found.items()} == dict.fromkeys(TONES, 12)
    assert (found["recorded"].count, found["mono"].count) == (12, 0)
    assert 0 < found["ours"].count < 12
    for each in report.shares:
        interval = binomtest(each.count, each.answers).proportion_ci(0.95, method="wilson")
        assert (each.low, each.high) == pytest.approx((interval.low, interval.high))
    assert (report.participants, report.finished, report.excluded) == (12, 12, {})


def test_nothing_that_a_page_gets_names_a_condition_or_a_check(page, folder):
    code = _join(page)
    texts = [page.get(name).text for name in ("study.json", f"participants/{code}.json")]
    texts += [page.get(f"participants/{code}/{trial}/film.json").text for trial in range(5)]
    for word in (*TONES, CHECK, "check", "film 0", "film 1", "condition", str(folder)):
        assert all(word not in text for text in texts)
    described = page.get(f"participants/{code}/0/film.json").json()
    assert described["tracks"] == [{"letter": "A", "name": "", "channels": 4}]
    assert page.get(described["pictureUrl"], headers={"range": "bytes=0-99"}).status_code == 206


def test_a_participant_resumes_goes_back_and_is_refused_in_words(page, folder):
    code = _join(page)
    ahead = _answer(page, code, 1, "real")
    assert (ahead.status_code, ahead.json()["refused"]) == (409, "Expected the answer to question 1 first.")
    assert _answer(page, code, 0, "real").json()["next"] == 1
    again = page.get(f"participants/{code.lower().replace('-', '')}.json").json()
    assert (again["code"], again["next"], again["answers"]) == (code, 1, {"0": "real"})
    assert _answer(page, code, 0, "fake").json()["answers"] == {"0": "fake"}
    assert _answer(page, code, 0, "maybe").status_code == 409
    assert _answer(page, code, 9, "real").status_code == 409
    wrong = page.get("participants/AAAA-AAAA.json")
    assert (wrong.status_code, wrong.text) == (
        422,
        "No participant has this code; check it, or start anew without one.",
    )


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("participants", {}),
        ("participants", {"consent": "yes"}),
        ("participants/{code}/0/answer", {"answer": "real"}),
        ("participants/{code}/0/answer", {"answer": 1, "seconds": 1, "headset": False}),
        ("participants/{code}/0/answer", {"answer": "real", "seconds": "1", "headset": False}),
        ("participants/XXXX/0/answer", {"answer": "real", "seconds": 1, "headset": False}),
    ],
)
def test_messages_that_no_page_sends_store_nothing(page, folder, path, values):
    code = _join(page)
    answer = page.post(path.format(code=code), json=values)
    assert answer.status_code == 422
    assert "\n" not in answer.text
    assert page.get(f"participants/{code}.json").json()["answers"] == {}


def test_requests_without_the_token_or_for_other_files_are_refused(page):
    root = str(page.base_url).split("t" * 32)[0]
    assert httpx.get(root + "study.json", verify=False).status_code == 403
    assert httpx.post(root + "participants", json={"consent": True}, verify=False).status_code == 403
    for path in ("answers.sqlite", "study.json.bak", "media/3", "media/answers.sqlite", "media/%2e%2e/answers.sqlite"):
        assert page.get(path).status_code in (404, 405)
    code = _join(page)
    for path in (
        f"participants/{code}/0/tracks/1/0",
        f"participants/{code}/0/tracks/0/99",
        f"participants/{code}/7/film.json",
    ):
        assert page.get(path).status_code == 422


def _started(folder):
    process = subprocess.Popen(
        [AVSSL, "study", "serve", str(folder), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, re.search(r"http://\S+/", process.stdout.readline())[0]


def test_a_killed_server_loses_no_answer_and_logs_no_participant(folder):
    for left in folder.glob("answers.sqlite*"):
        left.unlink()
    process, address = _started(folder)
    with httpx.Client(base_url=address, timeout=120, verify=False) as client:
        code = _join(client)
        for trial in range(3):
            assert _answer(client, code, trial, "fake").status_code == 200
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    process, again = _started(folder)
    with httpx.Client(base_url=again, timeout=120, verify=False) as client:
        assert again == address
        assert client.get(f"participants/{code}.json").json()["next"] == 3
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out == "1 participants so far, 0 of them finished\n"
    stored = b"".join(path.read_bytes() for path in folder.glob("answers.sqlite*"))
    assert b"127.0.0.1" not in stored
    base = sqlite3.connect(folder / "answers.sqlite")
    assert base.execute("SELECT count(*) FROM answers").fetchone() == (3,)
    base.close()
