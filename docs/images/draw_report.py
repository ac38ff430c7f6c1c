"""Draws report.png: the page of `avssl report --html` in Chromium, of three short runs on synthetic scenes.

python docs/images/draw_report.py
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from selenium import webdriver

TARGET = Path(__file__).with_name("report.png")
DATA = ("--data.clips", "160", "--data.clip_seconds", "1.6", "--data.synthetic_seed", "7", "--data.frame_rate", "10")
SHORT = (
    *DATA,
    "--data.workers",
    "0",
    "--data.batch",
    "16",
    "--train.steps",
    "40",
    "--train.log_every",
    "2",
    "--probe.train_draws",
    "1",
    "--probe.test_draws",
    "1",
)
RUNS = {
    "avsa-foa-iv": ("--task", "avsa", "--features", "foa-iv"),
    "avsa-foa-logmel": ("--task", "avsa", "--features", "foa-logmel"),
    "dense-avc": ("--recipe", "dense_avc/small"),
}
"""Folder -> task and features."""
ARGUMENTS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1240,1700")
LOOK = """
const at = (text) => [...document.querySelectorAll("h2")].find((each) => each.textContent.includes(text));
document.querySelectorAll("[data-table=facts]").forEach((each) => each.remove());  // paths of this machine
at("Run dense-avc").scrollIntoView();
"""


def main() -> None:
    """Train, write the page, and take the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in RUNS.items():
            _avssl("pretrain", *options, *SHORT, "--out", f"{scratch}/{name}")
        page = Path(scratch) / "page.html"
        _avssl("report", *(f"{scratch}/{name}" for name in RUNS), "--html", str(page), "--examples", "2")
        _take(page.as_uri())


def _avssl(*arguments: str) -> None:
    subprocess.run([shutil.which("avssl") or "avssl", *arguments], check=True, stdout=subprocess.DEVNULL)


def _take(address: str) -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    for each in ARGUMENTS:
        options.add_argument(each)
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get(address)
        browser.execute_script(LOOK)
        time.sleep(3)
        browser.save_screenshot(str(TARGET))


if __name__ == "__main__":
    main()
