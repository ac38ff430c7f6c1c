"""Draws play.png: the page of `avssl play` in Chromium, with the energy map and the objects of a synthetic scene.

python docs/images/draw_play.py
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from selenium import webdriver

from avssl.detection.detect_objects import detect_objects
from avssl.synth.synth360 import Synth360
from avssl.web.play.head_filters import head_filters
from avssl.web.play.manifest_film import open_clip
from avssl.web.play.play_page import Programme, play_page
from avssl.web.server import running

TARGET = Path(__file__).with_name("play.png")
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio",
    "--window-size=1000,860",
)  # fmt: skip
LOOK = """
const { player } = avssl;
document.getElementById("energy").click();
document.getElementById("objects").click();
player.control.look(arguments[0] * Math.PI / 180, arguments[1] * Math.PI / 180);
player.control.field = 1.6;
"""


def main() -> None:
    """Render a scene, play it, and take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        Synth360(Synth360.Options(clips=1, seconds=6.0, seed=11)).render(data)
        detect_objects(data, "truth")
        mono = {"mono": data / "media" / "00000.wav"}
        film = open_clip(data, Path(folder), None, "truth", None, tracks=mono)
        with running(play_page(Programme([film], head_filters(None)))) as address:
            _take(address)


def _take(address: str) -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    for each in ARGUMENTS:
        options.add_argument(each)
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get(address)
        time.sleep(5)
        browser.find_element("id", "play").click()
        _wait(browser, "avssl.player.seconds > 1.5")
        browser.find_element("id", "play").click()
        browser.execute_script(LOOK, -60, -8)
        time.sleep(4)
        browser.save_screenshot(str(TARGET))


def _wait(browser: webdriver.Chrome, condition: str) -> None:
    while not browser.execute_script(f"return {condition}"):
        time.sleep(0.2)


if __name__ == "__main__":
    main()
