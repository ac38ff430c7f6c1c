"""Rates of the commands that work on collections: embedding, preparing, and rendering synthetic scenes."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import av
import numpy as np
import torch

from avssl.bench.case import Quantity, Row, Size, left_out
from avssl.bench.decode_cases import X264
from avssl.config import FeatureConfig, ModelConfig
from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare import prepare
from avssl.embedding.batch_inference import embed
from avssl.io.cores import usable_cores
from avssl.media import close_all
from avssl.models.encoders import Encoders
from avssl.synth.scene import Format, describe
from avssl.synth.synth360 import Synth360
from avssl.synth.video_render import render_frames

RATE = 48000


def embed_rows(size: Size, folder: Path) -> list[Quantity]:
    """Windows of files that are embedded in a second, by the small towers with random weights."""
    seconds = 4.0
    options = Synth360.Options(clips=size.scenes, seconds=seconds, width=2 * size.height)
    manifest = read_manifest(Synth360(options).render(folder / "scenes", workers=1, progress=False))
    torch.manual_seed(0)
    encoders = Encoders(ModelConfig("small"), FeatureConfig())
    starts = tuple(np.arange(0, seconds - 1, 0.5).tolist())
    workers = int(size.processes)
    work = f"{len(manifest)} files, a window of 1 s every 0.5 s, {workers} loader processes"

    def rate(tower: str) -> Callable[[], dict[str, float]]:
        embedder = encoders.audio if tower == "audio" else encoders.video
        names = [row.audio if tower == "audio" else row.video for row in manifest]
        sources = [Source(name, manifest.root / name, starts) for name in names]
        reading = Reading(frames=size.frames)

        def measure() -> dict[str, float]:
            begin = time.perf_counter()
            windows = sum(len(found) for _, found in embed(embedder, sources, reading, workers=workers, progress=False))
            return {tower: windows / (time.perf_counter() - begin)}

        return measure

    return [Quantity("embed", rate(tower), "windows/s", work, 3) for tower in ("audio", "video")]


def prepare_rows(size: Size, folder: Path) -> list[Row]:
    """Hours of film that are prepared in an hour, with a process a core."""
    if not size.processes:
        return [left_out("prepare")]
    root, films = folder / "films", max(2, usable_cores())
    root.mkdir()
    for number in range(films):
        write_film(root / f"{number}.mp4", size, number)
    outputs = (folder / f"prepared-{run}" for run in count())

    def measure() -> dict[str, float]:
        begin = time.perf_counter()
        report = prepare(root, next(outputs), "files", progress=False)
        assert not report.failed
        return {"": films * size.video_seconds / (time.perf_counter() - begin)}

    close_all()
    form = f"{2 * size.source_height} x {size.source_height}, {films} films of {size.video_seconds:g} s"
    return [Quantity("prepare", measure, "hours of film an hour", f"{form}, {usable_cores()} processes", 3)]


def write_film(path: Path, size: Size, seed: int) -> None:
    """A panorama with four channels of AAC in one file."""
    form = Format(size.video_seconds, 2 * size.source_height, 30)
    rng = np.random.default_rng(seed)
    audio = (0.1 * rng.standard_normal((4, round(size.video_seconds * RATE)))).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30, options=X264)
        video.width, video.height, video.pix_fmt = form.width, size.source_height, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="4.0", bit_rate=512000)
        for image in render_frames(describe(seed, 0), form):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout="4.0")
        frame.sample_rate = RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def synth_rows(size: Size, folder: Path) -> list[Quantity]:
    """Scenes that are rendered in a second, with a process a core."""
    options = Synth360.Options(clips=size.scenes, seconds=1.6, width=2 * size.height)
    outputs, workers = (folder / f"scenes-{run}" for run in count()), usable_cores() if size.processes else 1

    def measure() -> dict[str, float]:
        begin = time.perf_counter()
        Synth360(options).render(next(outputs), workers=workers, progress=False)
        return {"": size.scenes / (time.perf_counter() - begin)}

    work = f"{size.scenes} scenes of 1.6 s, {2 * size.height} x {size.height}, {workers} processes"
    return [Quantity("synth", measure, "scenes/s", work, 3)]
