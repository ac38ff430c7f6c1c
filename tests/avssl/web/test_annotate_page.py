import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import torch

from avssl.annotation.annotation_store import AnnotationStore, read_annotations_of
from avssl.annotation.film_list import find_films
from avssl.annotation.film_segments import KeyFrame
from avssl.media import write_spatial_mp4, write_video
from avssl.web.annotate_page import annotate_page
from avssl.web.server import running

AVSSL = str(Path(sys.executable).with_name("avssl"))
HOSTILE = "x <img src=x onerror=alert(1)>\n\udce9.mp4"

FRAME_RATE = 10
WIDTH, HEIGHT = 160, 96
SIDE = 24


def square_left(time):
    """Left edge of the square in 0..1 of the frame."""
    return (10 + 20 * time) / WIDTH


def write_film(path, seconds=4.0, sound=True):
    """A film with stereo sound: silence in its first second, then a tone of 1 kHz at the left."""
    frames = []
    for number in range(round(seconds * FRAME_RATE)):
        frame = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        left = round(square_left(number / FRAME_RATE) * WIDTH)
        frame[36 : 36 + SIDE, left : left + SIDE] = 230
        frames.append(frame)
    mute = path.with_name("mute-part.mp4") if sound else path
    write_video(mute, frames, FRAME_RATE)
    if sound:
        times = torch.arange(round(seconds * 48000)) / 48000
        tone = 0.5 * torch.sin(2 * torch.pi * 1000 * times) * (times >= 1)
        write_spatial_mp4(path, mute, [torch.stack([tone, 0 * tone])], 48000, panoramic=False)
        mute.unlink()
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Films that tests copy."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mp4")
    write_film(folder / "mute.mp4", 2.0, sound=False)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copy(made / "a.mp4", tmp_path / "a.mp4")
    (tmp_path / "street").mkdir()
    shutil.copy(made / "mute.mp4", tmp_path / "street" / "mute.mp4")
    shutil.copy(made / "a.mp4", tmp_path / HOSTILE)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


@pytest.fixture
def page(folder):
    with (
        AnnotationStore(folder, "eva") as store,
        running(annotate_page(store, find_films(folder), ("dog", "car"), "t" * 32)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def _edit(client, identifier, segment, film="a.mp4", before=None):
    """Post an edit of one segment."""
    change = {"film": film, "segments": {segment["id"]: segment}}
    expected = {"film": film, "segments": {segment["id"]: before}}
    return client.post("edit", content=json.dumps({"id": identifier, "change": change, "expected": expected}))


DOG = {"id": "d", "label": "dog", "start": 1.0, "end": 3.0, "boxes": [{"time": 1.0, "box": [0.1, 0.1, 0.5, 0.5]}]}


def test_films_and_headers_are_listed_hostile_names_and_broken_ones_too(page):
    listed = page.get("films.json").json()
    assert [film["name"] for film in listed["films"]] == ["a.mp4", "broken.mp4", "street/mute.mp4", HOSTILE]
    assert listed["films"][3]["title"] == r"x <img src=x onerror=alert(1)>\n\xe9.mp4"
    assert (listed["annotator"], listed["labels"]) == ("eva", ["dog", "car"])
    film = page.get("film/0.json").json()
    assert (film["seconds"], film["frame_rate"], film["width"], film["height"]) == (
        pytest.approx(4, abs=0.1),
        10,
        160,
        96,
    )
    assert (film["channels"], page.get("film/2.json").json()["channels"]) == (2, 0)
    assert "broken.mp4" in page.get("film/1.json").json()["error"]


def test_sound_is_shown_where_it_is_and_frames_are_those_of_the_film(page):
    wave = np.array(page.get("waveform/0/0.json").json())
    assert np.abs(wave[:48]).max() < 0.01
    assert wave[52:198, 1].min() > 0.4
    picture = cv2.imdecode(np.frombuffer(page.get("spectrogram/0/0.png").content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture[:, 60:190].max(0).min() > 3 * picture[:, 5:40].max()
    for time in (0.05, 2.05):
        frame = cv2.imdecode(np.frombuffer(page.get(f"frame/0.jpg?time={time}").content, np.uint8), 0)
        bright = np.flatnonzero(frame[48] > 130)
        assert bright.min() / WIDTH == pytest.approx(square_left(time - 0.05), abs=1.5 / WIDTH)
        assert bright.size == pytest.approx(SIDE, abs=2)
    answer = page.get("waveform/2/0.json")
    assert answer.status_code == 422
    assert "\n" not in answer.text


def test_an_edit_is_on_the_disk_when_it_is_answered_and_undo_takes_it_back(page, folder):
    assert _edit(page, "1", DOG).status_code == 200
    assert read_annotations_of(folder, "eva")["a.mp4"].segments["d"].boxes == (KeyFrame(1.0, (0.1, 0.1, 0.5, 0.5)),)
    assert _edit(page, "2", DOG | {"end": 2.0}, before=DOG).status_code == 200
    stale = _edit(page, "3", DOG | {"end": 9.0}, before=DOG)
    assert (stale.status_code, stale.json()["annotations"]["segments"][0]["end"]) == (409, 2.0)
    undone = page.post("undo", json={}).json()
    assert (undone["index"], undone["change"]["segments"]["d"]["end"]) == (0, 3.0)
    assert page.get("film/0.json").json()["annotations"]["segments"] == [DOG]
    page.post("redo", json={})
    assert page.get("film/0.json").json()["annotations"]["segments"][0]["end"] == 2.0
    assert page.get("films.json").json()["films"][0]["segments"] == 1


def test_an_edit_of_a_film_with_a_hostile_name_is_kept_under_it(page, folder):
    assert _edit(page, "1", DOG, HOSTILE).status_code == 200
    assert "d" in read_annotations_of(folder, "eva")[HOSTILE].segments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a message in JSON"),
        ("[]", "expected an object in JSON"),
        ("[" * 100000, "expected a message in JSON"),
        ('{"id": "1"}', "the page's edit: expected an edit with 'film' and 'segments', got None"),
        ('{"id": "1", "change": {"film": "../x.mp4"}, "expected": {"film": "../x.mp4"}}', "and a film of this folder"),
        ('{"id": 1, "change": {"film": "a.mp4"}, "expected": {"film": "a.mp4"}}', "expected an 'id'"),
        ('{"id": "1", "change": {"film": "a.mp4", "segments": {"d": {"id": "d", "label": "", "start": 1, "end": 1}}}}',
         "expected 'end' above 'start', got 1 to 1 s"),
    ],
)  # fmt: skip
def test_messages_that_no_page_sends_change_nothing(page, folder, content, message):
    answer = page.post("edit", content=content)
    assert answer.status_code == 422
    assert message in answer.text
    assert "\n" not in answer.text
    assert read_annotations_of(folder, "eva") == {}


def test_requests_without_the_token_or_for_other_files_are_refused(page):
    root = str(page.base_url).split("t" * 32)[0]
    for path in ("", "films.json", "x" * 32 + "/films.json", "media/0"):
        assert httpx.get(root + path).status_code == 403
    assert httpx.post(root + "edit", json={}).status_code == 403
    assert page.post("edit", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    for path in (
        "media/4",
        "media/-1",
        "media/secret.txt",
        "media/%2e%2e/secret.txt",
        "static/%2e%2e/page.py",
        "secret.txt",
    ):
        answer = page.get(path)
        assert answer.status_code in (404, 405)
        assert "secret" not in answer.text.replace(path, "")
    assert page.get("film/9.json").status_code == 422


def test_two_hundred_tabs_are_answered_and_threads_stay_few(page):
    before = threading.active_count()

    def tab(number):
        with httpx.Client(base_url=page.base_url, timeout=120, verify=False) as client:
            head = client.get("media/0", headers={"range": f"bytes={number}-{number + 99}"})
            wave = client.get("waveform/0/0.json")
            return head.status_code, len(head.content), client.get("film/0.json").status_code, wave.status_code

    with ThreadPoolExecutor(200) as pool:
        assert set(pool.map(tab, range(200))) == {(206, 100, 200, 200)}
    assert threading.active_count() - before < 60


def _started(folder, *options):
    """A server of its own process, and its address."""
    command = [AVSSL, "annotate", str(folder), "--annotator", "eva", "--no-browser", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/\S+/", line)
    assert found, line + process.stderr.read()
    return process, found[0]


def _get(address):
    with httpx.Client(base_url=address, timeout=60, transport=httpx.HTTPTransport(retries=5)) as client:
        return client.get("film/0.json").json()


def test_a_killed_server_loses_no_edit_and_comes_back_at_its_address(folder):
    process, address = _started(folder)
    with httpx.Client(base_url=address, timeout=60, transport=httpx.HTTPTransport(retries=5)) as client:
        for number in range(10):
            segment = {"id": str(number), "label": "dog", "start": number, "end": number + 1, "boxes": []}
            assert _edit(client, str(number), segment).status_code == 200
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    process, again = _started(folder)
    try:
        assert again == address
        assert len(_get(again)["annotations"]["segments"]) == 10
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert json.loads((folder / "annotations" / "eva.json").read_text())["generation"] == 1
    assert not list((folder / "annotations").glob("*.jsonl"))


def test_a_file_broken_by_hand_ends_the_command_in_one_line_and_stays(folder):
    path = folder / "annotations" / "eva.json"
    path.parent.mkdir()
    text = '{"format": "avssl-annotations", "version": 1, "films": {"a.mp4": {"segments": [{"id": "d"}]}}}'
    path.write_text(text)
    command = [AVSSL, "annotate", str(folder), "--annotator", "eva", "--no-browser"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"Error: {path}: film 'a.mp4', segment 0: expected seconds from 0 up as 'start', got None\n")
    assert path.read_text() == text
