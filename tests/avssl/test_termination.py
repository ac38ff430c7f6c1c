"""Signals that end a command: nothing temporary is left, and the next run removes what a kill left."""

import os
import platform
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from avssl.io.atomic import scratch_folder
from avssl.media import write_video


@pytest.fixture(scope="module")
def sphere(tmp_path_factory):
    """A film of 20 s with a plane wave, which takes seconds to draw on."""
    folder = tmp_path_factory.mktemp("sphere")
    write_video(folder / "a.mp4", (np.full((64, 128, 3), number % 200, np.uint8) for number in range(80)), 4.0)
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * 16000)
    soundfile.write(folder / "a.wav", np.stack((noise, noise, 0 * noise, 0 * noise), 1), 16000)
    return folder


def start(sphere, out):
    code = "from avssl.cli import main; main()"
    options = ["--audio", str(sphere / "a.wav"), "--frame-rate", "60", "--height", "512"]
    return subprocess.Popen(
        [sys.executable, "-c", code, "energy-overlay", str(sphere / "a.mp4"), str(out), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def scratch(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".scratch")]


def wait_for_scratch(process, folder):
    until = time.monotonic() + 60
    while not (found := scratch(folder)) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
    assert found
    time.sleep(0.3)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)  # as shells have them
def test_a_signal_leaves_nothing_behind(sphere, tmp_path, number, code):
    process = start(sphere, tmp_path / "out.mp4")
    wait_for_scratch(process, tmp_path)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, list(tmp_path.iterdir())) == (code, [])
    assert said.splitlines()[-1] == "Stopped: what is complete stays, nothing is half-written."
    assert "Traceback" not in said


@pytest.mark.heavy
def test_the_next_run_removes_what_a_kill_left(sphere, tmp_path):
    process = start(sphere, tmp_path / "out.mp4")
    wait_for_scratch(process, tmp_path)
    process.kill()
    process.communicate()
    assert len(scratch(tmp_path)) == 1
    with scratch_folder(tmp_path / "out.mp4") as mine:
        assert scratch(tmp_path) == [mine]
    assert not scratch(tmp_path)


def test_scratch_of_others_that_live_or_of_another_target_stays(tmp_path):
    others = [
        tmp_path / f".out.part-{platform.node()}-x-{os.getppid()}.scratch",
        tmp_path / ".out.part-another-machine-x-1.scratch",
        tmp_path / f".other.part-{platform.node()}-x-{2**22 + 1}.scratch",
    ]
    for each in others:
        each.mkdir()
    with scratch_folder(tmp_path / "out.mp4"), scratch_folder(tmp_path / "out.mp4"):
        assert len(scratch(tmp_path)) == 5
    assert sorted(tmp_path.iterdir()) == sorted(others)
