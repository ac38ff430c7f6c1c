"""The page of `avssl report --html` in Chromium, opened from disk: numbers, keyboard, an example that plays."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from avssl.config import RunConfig, TrainConfig
from avssl.report.report import report
from avssl.runs import run_folder
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips, with_embeddings, write_evaluated_clips

pytestmark = [pytest.mark.browser, pytest.mark.heavy]
CELLS = """
const rows = [...document.querySelectorAll("[data-table=metrics] tbody tr")];
return rows.map((row) => [...row.cells].map((cell) => cell.textContent));
"""
METRICS = {"avsa_bin": 0.8125, "avsa_bin_low": 0.75, "avsa_bin_high": 0.875, "loss": 0.1 + 0.2}


@pytest.fixture(scope="module")
def page(films, tmp_path_factory):
    """A page of one run with two examples, and the folder of the run."""
    root = tmp_path_factory.mktemp("report")
    folder = root / "run"
    run_folder.init_run_folder(folder, replace(RunConfig(), train=TrainConfig(steps=5)))
    run_folder.add_metrics(folder, {"steps": 5, **METRICS})
    films.write_film(root / "film.mp4", seconds=2.0)
    clips = [EvaluatedClip(f"clip{at}", at, video="film.mp4", audio="film.mp4", seconds=2.0) for at in range(6)]
    rows = np.random.default_rng(0).normal(size=(6, 4))
    write_evaluated_clips(folder, EvaluatedClips(tuple(with_embeddings(clips, "video", rows)), root, "share"))
    report([folder], html=root / "page.html", examples=1)
    return root / "page.html", folder


def wait(chromium, condition, seconds=20):
    end = time.monotonic() + seconds
    while not chromium.execute_script(f"return {condition}"):
        assert time.monotonic() < end, condition
        time.sleep(0.1)


def test_numbers_sorting_keyboard_and_an_example_from_disk(chromium, page):
    from selenium.webdriver.common.keys import Keys

    path, folder = page
    chromium.get(path.as_uri())
    cells = chromium.execute_script(CELLS)
    assert {name: float(value) for name, value in cells} == json.loads((folder / "metrics.json").read_text())
    chromium.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    heading = chromium.find_elements("css selector", "[data-table=metrics] th button")[1]
    heading.send_keys(Keys.ENTER)
    values = "[...document.querySelectorAll('[data-table=metrics] tbody tr')].map(r => Number(r.cells[1].textContent))"
    assert chromium.execute_script(f"return {values}") == sorted(float(value) for _, value in cells)
    plot = chromium.find_element("css selector", "figure[tabindex]")
    plot.send_keys(Keys.ARROW_RIGHT)
    first = plot.find_element("css selector", "output").text
    plot.send_keys(Keys.ARROW_RIGHT)
    assert first.startswith("clip0")
    assert plot.find_element("css selector", "output").text.startswith("clip1")
    chromium.execute_script("document.querySelector('video').play()")
    wait(chromium, "document.querySelector('video').currentTime > 0.5")
    assert chromium.execute_script("return document.querySelector('video').videoWidth") == 256
    assert chromium.execute_script("return document.querySelector('video').webkitAudioDecodedByteCount") > 0
    assert [each for each in chromium.get_log("browser") if each["level"] in ("SEVERE", "WARNING")] == []
