"""A Chromium without a window, driven by Selenium; films of which picture and sound are known."""

from __future__ import annotations

import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avssl.media import write_audio, write_spatial_mp4, write_video
from avssl.spatial.ambisonics import encode

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage", "--window-size=640,640", "--mute-audio",
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


RATE = 48000
COLOURS = {0: (200, 30, 30), 90: (30, 200, 30), 180: (30, 30, 200), -90: (200, 200, 30)}
"""Azimuth in degrees, left is positive -> colour of the quarter around it."""


def panorama(height: int = 128) -> np.ndarray:
    """uint8 `(height, 2 height, 3)`: a quarter of the horizon in each colour."""
    azimuth = 180 - (np.arange(2 * height) + 0.5) * 180 / height
    quarter = (np.round(azimuth / 90) * 90).astype(int)
    row = np.array([COLOURS[-180 + 360 if each == -180 else each] for each in quarter], np.uint8)
    return np.repeat(row[None], height, 0)


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise of a level of about -20 dB of full scale."""
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def field(azimuth: float, seconds: float, elevation: float = 0.0) -> torch.Tensor:
    """Noise `(4, samples)` from a direction in degrees."""
    return encode(noise(seconds), math.radians(azimuth), math.radians(elevation))


def write_film(path, seconds: float = 4.0, azimuth: float = 90.0, frame_rate: float = 25.0) -> None:
    """A 360-degree mp4 with a sound field; its frames carry their number as a white bar at the nadir."""
    still = panorama()

    def frames():
        for index in range(round(seconds * frame_rate)):
            frame = still.copy()
            frame[-8:, : 2 + index % 200] = 255
            yield frame

    silent = path.with_name(f"{path.stem}-silent.mp4")
    write_video(silent, frames(), frame_rate)
    write_spatial_mp4(path, silent, iter(field(azimuth, seconds).split(RATE, 1)), RATE, panoramic=True)
    silent.unlink()


def write_sound(path, sound: torch.Tensor) -> None:
    """A lossless file of a sound track."""
    write_audio(path, sound, RATE, subtype="FLOAT")


@pytest.fixture(scope="session")
def films():
    """The functions above, as modules of tests cannot import one another."""
    return SimpleNamespace(
        COLOURS=COLOURS, RATE=RATE, field=field, noise=noise, panorama=panorama, write_film=write_film,
        write_sound=write_sound,
    )  # fmt: skip
