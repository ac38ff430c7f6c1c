"""Half an hour of 1080p through `avssl downstream spatialize --input`: memory, speed, clicks, and sight with sound."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.media import iterate_frames, probe, read_audio, write_video
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.synth.stage.stage_dataset import stage

RATE, FRAME_RATE = 48000, 25
LOOP, LOOPS = 10, 180
"""Seconds of pictures, and how often they are repeated."""
TONE, LEVEL = 440.0, 0.3
BORDER = 0.25
"""Seconds: windows of this head begin at its multiples."""


def loop() -> Iterator[np.ndarray]:
    """Ten seconds of a bar that walks; white all over in the first picture."""
    for index in range(LOOP * FRAME_RATE):
        image = np.full((1080, 1920, 3), 255 if index == 0 else 40, np.uint8)
        image[400:700, 7 * index : 7 * index + 150] = (200, 60, 20)
        yield image


def repeated(source: Path, target: Path) -> Path:
    """The same packets again and again: half an hour without encoding one."""
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        frames = film.streams.video[0]
        stream = out.add_stream_from_template(frames)
        packets = [packet for packet in film.demux(frames) if packet.size]
        stamps = [(packet.pts, packet.dts) for packet in packets]
        length = round(LOOP / packets[0].time_base)
        for turn in range(LOOPS):
            for packet, (shown, decoded) in zip(packets, stamps, strict=True):
                packet.pts, packet.dts, packet.stream = shown + turn * length, decoded + turn * length, stream
                out.mux(packet)
                packet.stream = frames
    return target


def audio() -> Iterator[torch.Tensor]:
    """A steady tone, and a burst of noise of 20 ms when the picture is white."""
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.15, RATE // 50)).float()
    for turn in range(LOOPS):
        instants = (torch.arange(LOOP * RATE, dtype=torch.float64) + turn * LOOP * RATE) / RATE
        block = (LEVEL * torch.sin(2 * torch.pi * TONE * instants)).float()
        block[: len(noise)] += noise
        yield block[None]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_video(folder / "loop.mp4", loop(), FRAME_RATE)
    frames = repeated(folder / "loop.mp4", folder / "pictures.mp4")
    write_spatial_mp4(folder / "film.mp4", frames, audio(), RATE, panoramic=False)
    return folder / "film.mp4"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small recipe's network, hardly trained: its size decides over time and memory."""
    folder = tmp_path_factory.mktemp("head")
    sizes: dict[str, Any] = {"width": 112, "height": 64, "frame_rate": 10.0, "sample_rate": 16000}
    world = stage(folder / "world", 16, 1.5, 0, workers=1, progress=False, **sizes).parent
    words = f"downstream spatialize --recipe spatialize/asn-small --data {world} --out {folder / 'run'}"
    steps = ("--set", "train.steps=5", "--set", "optim.warmup=0", "--set", "batch=4", "--hop", str(BORDER))
    result = CliRunner().invoke(main, [*words.split(), *steps])
    assert result.exit_code == 0, result.output
    return folder / "run"


def watched(command: list[str]) -> tuple[float, list[float]]:
    """Seconds that a command took, and the megabytes it held, every second."""
    begins, held = time.monotonic(), []
    process = psutil.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            held.append(sum(each.memory_info().rss for each in family) / 1e6)
        except psutil.NoSuchProcess:
            break
        time.sleep(1.0)
    assert process.wait() == 0, process.stderr.read()
    return time.monotonic() - begins, held


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_half_an_hour_in_less_flat_without_clicks_and_in_sync(film: Path, head: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    avssl = str(Path(sys.executable).with_name("avssl"))
    words = ["downstream", "spatialize", "--head", str(head), "--input", str(film), "--output", str(target)]
    seconds, held = watched([avssl, *words])
    third = len(held) // 3
    early, late = np.median(held[third // 2 : third]), np.median(held[-third:])
    print(
        f"\n{LOOP * LOOPS} s of film in {seconds:.0f} s; at most {max(held):.0f} MB, {early:.0f} early, {late:.0f} late"
    )
    assert seconds < LOOP * LOOPS
    assert max(held) < 2000
    assert late < 1.05 * early
    assert probe(target).videos[0].header_frames == LOOP * LOOPS * FRAME_RATE
    at_borders, between = clicks(target)
    print(f"steepest at borders {at_borders:.1f} dB, between them {between:.1f} dB below the tone")
    assert at_borders < between + 3
    assert max(apart(target, turn) for turn in (0, LOOPS // 2, LOOPS - 1)) <= 1 / FRAME_RATE


def clicks(path: Path) -> tuple[float, float]:
    """What is heard above 3 kHz, in dB of the tone: at the borders of windows, and half-way between them, at most."""
    at_borders, between = [], []
    for turn in range(0, LOOPS, 6):
        heard, rate = read_audio(path, turn * LOOP + 1.0, LOOP - 2.0)
        spectrum = torch.fft.rfft(heard.double())
        spectrum[:, : round(3000 * heard.shape[1] / rate)] = 0
        steep = torch.fft.irfft(spectrum, heard.shape[1]).abs().amax(0)
        pieces = steep[: len(steep) // round(BORDER * rate) * round(BORDER * rate)].unflatten(
            0, (-1, round(BORDER * rate))
        )
        near = round(0.01 * rate)
        middle = pieces.shape[1] // 2
        at_borders.append(float(torch.cat([pieces[1:, :near], pieces[:-1, -near:]]).max()))
        between.append(float(pieces[:, middle - near : middle + near].max()))
    return tuple(20 * np.log10(max(each) / LEVEL) for each in (at_borders, between))


def apart(path: Path, turn: int) -> float:
    """Seconds between the white picture and the noise."""
    begins = max(0.0, turn * LOOP - 0.5)
    times = [begins + index / (4 * FRAME_RATE) for index in range(4 * FRAME_RATE)]
    bright = [float(image.mean()) for image in iterate_frames(path, times, (36, 64))]
    heard, rate = read_audio(path, begins, 1.0)
    spectrum = torch.fft.rfft(heard.mean(0).double())
    spectrum[: round(3000 * heard.shape[1] / rate)] = 0
    noise = torch.fft.irfft(spectrum, heard.shape[1]).abs()
    return abs(times[int(np.argmax(bright))] - float((noise > 0.3 * noise.max()).nonzero()[0]) / rate - begins)
