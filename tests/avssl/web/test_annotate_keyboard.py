"""The annotation page in Chromium, by keyboard alone."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.annotation.annotation_store import AnnotationStore, read_annotations_of
from avssl.annotation.film_list import find_films
from avssl.annotation.source_export import suggestions
from avssl.media import write_spatial_mp4, write_video
from avssl.web.annotate_page import annotate_page
from avssl.web.server import running

pytestmark = pytest.mark.browser
AVSSL = str(Path(sys.executable).with_name("avssl"))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of 4 s at 10 Hz with a tone."""
    folder = tmp_path_factory.mktemp("films")
    for name in ("a", "b"):
        frames = [np.full((96, 160, 3), 6 * number, np.uint8) for number in range(40)]
        write_video(folder / "mute.mp4", frames, 10)
        tone = 0.5 * torch.sin(torch.arange(4 * 48000) / 8)
        write_spatial_mp4(folder / f"{name}.mp4", folder / "mute.mp4", [tone.expand(2, -1)], 48000, panoramic=False)
        (folder / "mute.mp4").unlink()
    return folder


@pytest.fixture
def folder(films, tmp_path):
    for path in films.iterdir():
        (tmp_path / path.name).hardlink_to(path)
    return tmp_path


def _wait(condition, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(condition)


def _saved(driver, segments):
    """All edits are on the disk, and the page shows so many segments."""
    found = "return [document.getElementById('saved').textContent, document.querySelectorAll('#segments li').length]"
    _wait(lambda: driver.execute_script(found) == ["Saved", segments])


def _press(driver, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def _chord(driver, modifier, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).key_down(modifier).send_keys(*keys).key_up(modifier).perform()


def _time(driver):
    return float(driver.find_element("id", "time").text.split()[0])


def _open(driver, address):
    driver.get(address)
    _wait(lambda: driver.execute_script("return document.getElementById('video').readyState") >= 2)


def test_segments_classes_and_boxes_are_made_by_keyboard_alone(chromium, folder):
    from selenium.webdriver.common.keys import Keys

    with (
        AnnotationStore(folder, "eva") as store,
        running(annotate_page(store, find_films(folder), ("dog", "car"), "t" * 32)) as address,
    ):
        _open(chromium, address)
        _press(chromium, *[Keys.ARROW_RIGHT] * 5)
        assert _time(chromium) == pytest.approx(0.5)
        _press(chromium, "n", "2", "b", *[Keys.ARROW_LEFT] * 5, Keys.ENTER)  # a box, 0.1 to the left
        _chord(chromium, Keys.SHIFT, Keys.ARROW_RIGHT)  # a second on
        _press(chromium, "b", *[Keys.ARROW_RIGHT] * 10, *[Keys.ARROW_DOWN] * 5)
        _chord(chromium, Keys.SHIFT, *[Keys.ARROW_UP] * 5)  # lower edge up by 0.1
        _press(chromium, Keys.ENTER)
        _press(chromium, *[Keys.ARROW_RIGHT] * 5, "]")
        _saved(chromium, 1)
        [segment] = read_annotations_of(folder, "eva")["a.mp4"].segments.values()
        assert (segment.label, segment.start, segment.end) == ("car", 0.5, 2.0)
        first, second = segment.boxes
        assert (first.time, first.box) == (0.5, pytest.approx((0.25, 0.3, 0.55, 0.7)))
        assert (second.time, second.box) == (1.5, pytest.approx((0.45, 0.4, 0.75, 0.7)))
        # between key frames the page draws what Python interpolates
        _press(chromium, Keys.HOME, *[Keys.ARROW_RIGHT] * 8)
        drawn = chromium.execute_script(
            "const drawn = document.querySelector('#boxes rect');"
            "return ['x', 'y', 'width', 'height'].map((name) => Number(drawn.getAttribute(name)));"
        )
        left, top, right, bottom = segment.box_at(0.8)
        assert drawn == pytest.approx([left, top, right - left, bottom - top], abs=1e-4)
        _press(chromium, "c")
        _press(chromium, "old bus", Keys.ENTER, "x", ".", "x", "u", "n", Keys.DELETE, "d")
        _saved(chromium, 1)
        _wait(lambda: read_annotations_of(folder, "eva")["a.mp4"].done)
        [segment] = read_annotations_of(folder, "eva")["a.mp4"].segments.values()
        assert (segment.label, len(segment.boxes)) == ("old bus", 2)
        _press(chromium, Keys.PAGE_DOWN)
        _wait(
            lambda: (
                chromium.execute_script("return document.querySelector('[aria-current=true]').textContent") == "b.mp4"
            )
        )
        _press(chromium, "?")
        assert chromium.execute_script("return document.getElementById('keys').open")
        _press(chromium, Keys.ESCAPE, " ")
        _wait(lambda: _time(chromium) > 0.5)
        _press(chromium, " ")
        severe = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
        assert severe == []


def test_suggestions_of_a_detector_are_confirmed_or_deleted_by_keyboard(chromium, folder):
    from selenium.webdriver.common.keys import Keys

    source = folder / "sources.json"
    boxes = [{"time": 0.0, "box": [0, 0, 0.5, 0.5]}]
    entries = [{"video": "a.mp4", "label": label, "start": start, "end": 3.0, "boxes": boxes}
               for start, label in ((0.0, "dog"), (1.0, "wolf"))]  # fmt: skip
    source.write_text(json.dumps({"format": "avssl-sources", "version": 1, "sources": entries}))
    with AnnotationStore(folder, "eva") as store:
        changes, _ = suggestions(folder, source, {}, {"a.mp4": 4.0, "b.mp4": 4.0})
        store.add(changes[0])
        with running(annotate_page(store, find_films(folder), (), "t" * 32)) as address:
            _open(chromium, address)
            _press(chromium, "a", "j", Keys.DELETE)
            _saved(chromium, 1)
            _wait(lambda: len(read_annotations_of(folder, "eva")["a.mp4"].segments) == 1)
    [segment] = read_annotations_of(folder, "eva")["a.mp4"].segments.values()
    assert (segment.label, segment.suggested) == ("dog", False)


def _started(folder):
    process = subprocess.Popen(
        [AVSSL, "annotate", str(folder), "--annotator", "eva", "--no-browser"], stdout=subprocess.PIPE, text=True
    )
    return process, re.search(r"http://\S+/", process.stdout.readline())[0]


def test_edits_made_while_the_server_is_killed_arrive_when_it_is_back(chromium, folder):
    process, address = _started(folder)
    try:
        _open(chromium, address)
        _press(chromium, "n")
        _saved(chromium, 1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _press(chromium, "[", "n", "n")
        _wait(lambda: "2 edits are kept in this page" in chromium.find_element("id", "saved").text)
        chromium.get("about:blank")  # the page is gone too
        process, again = _started(folder)
        assert again == address
        _open(chromium, address)
        _saved(chromium, 3)
        assert len(read_annotations_of(folder, "eva")["a.mp4"].segments) == 3
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
