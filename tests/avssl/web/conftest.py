"""A Chromium without a window, driven by Selenium; one at a time."""

from __future__ import annotations

import shutil

import pytest

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage", "--window-size=1000,800", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A driver of Chromium with WebGL2 and sound, of which tests of one file share the browser."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for each in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()
