"""Benchmark of generators on a stream: a window at a time as the audio comes, against several at once as for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.bench.case import Case, Result, Size, largest
from avssl.bench.timing import threads
from avssl.io.memory import keep_freed
from avssl.recipe_files import resolve
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.registry import build_generator
from avssl_downstream.spatialize.streaming import StreamingSpatializer, generate_stream

RECIPES = {
    "asn-small": 0.0,
    "foa360-pointing": 0.0,
    "foa360-small-published": 103.0,
    "mono_to_3d-pointing": 0.0,
    "pseudo_binaural-small": 0.0,
}
"""Recipe of a small form of each generator -> the paper's time for a second of audio, ms, where it is the paper's form;
0: none."""
BLOCK = 0.05
"""Seconds of audio that come at once."""


def cases(size: Size, folder: Path) -> list[Case]:
    """The small form of each generator with random weights, on one core, for `size.audio_seconds` of audio."""
    keep_freed()  # as in `Spatialize.apply`
    return [_case(recipe, paper, size.audio_seconds) for recipe, paper in RECIPES.items()]


def _case(recipe: str, paper: float, seconds: float) -> Case:
    options = resolve(SpatializeOptions, f"spatialize/{recipe}", where=recipe)
    generator = build_generator(options, None).eval()
    samples = round(seconds * generator.sample_rate)
    draws = torch.Generator().manual_seed(0)
    audio = 0.1 * torch.randn(generator.input_channels, samples, generator=draws)
    ours, peer = (_side(generator, options, audio, seconds, batch) for batch in (1, options.windows))
    peer_name = f"{options.windows} windows at once{f'; paper {paper * seconds:.0f} ms' if paper else ''}"
    return Case(f"{recipe}, {seconds:g} s", peer_name, ours, peer, 1e-3, largest, seconds)


def _side(
    generator: Generator, options: SpatializeOptions, audio: Tensor, seconds: float, batch: int
) -> Callable[[], Result]:
    def generate() -> Result:
        frames = RecordedFrames(generator, partial(_frames, seconds), seconds)
        schedule = WindowSchedule(options.hop, batch)
        spatializer = StreamingSpatializer(generator, FrameFeatures(generator, frames), generator.sample_rate, schedule)
        blocks = audio.split(round(BLOCK * generator.sample_rate), 1)  # type: ignore[no-untyped-call]
        with threads(1):
            return (torch.cat(list(generate_stream(spatializer, blocks)), 1),)

    return generate


def _frames(seconds: float, times: Iterable[float], size: tuple[int, int]) -> Iterable[np.ndarray]:
    """Noise that moves to the right, once around in all."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for time in times:
        yield np.roll(image, round(size[1] * time / seconds), 1)
