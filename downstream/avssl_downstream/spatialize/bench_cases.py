"""Benchmark of generators on a stream: a window at a time as the audio comes, against several at once as for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from avssl.bench.case import Case, Quantity, Result, Row, Size, largest
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


FULL = ("asn-full", "foa360-full", "mono_to_3d-full", "pseudo_binaural-full")
"""Recipes of the published forms, as large as in the papers."""
FULL_SECONDS = 2.0
"""Seconds of audio that they process."""
PUBLISHED_HOP = 0.1
"""Seconds between windows of 2.5D Visual Sound and its successors."""


def cases(size: Size, folder: Path) -> list[Row]:
    """The small form of each generator with random weights, on one core, for `size.audio_seconds` of audio."""
    keep_freed()  # as in `Spatialize.apply`
    small: list[Row] = [_case(recipe, paper, size.audio_seconds) for recipe, paper in RECIPES.items()]
    full = FULL if size.full_clips else ()
    return [*small, _window_by_window(size.audio_seconds), *map(_real_time, full)]


def _real_time(recipe: str) -> Quantity:
    """Seconds of audio that the published form of a generator makes in a second, as `avssl downstream` applies it."""
    options = resolve(SpatializeOptions, f"spatialize/{recipe}", where=recipe)
    generator = build_generator(options, None).eval()
    audio = _noise(generator, FULL_SECONDS)
    generate = _side(generator, options, audio, FULL_SECONDS, options.windows)

    def measure() -> dict[str, float]:
        begin = perf_counter()
        generate()
        return {recipe: FULL_SECONDS / (perf_counter() - begin)}

    return Quantity("spatialize", measure, "x real time", f"{FULL_SECONDS:g} s, random weights, one core", 3)


def _window_by_window(seconds: float) -> Case:
    """The 2.5D network at the published hop: windows at once and visual features that windows share, against a loop."""
    recipe = "pseudo_binaural-small-published"
    options = resolve(SpatializeOptions, f"spatialize/{recipe}", {"hop": PUBLISHED_HOP}, where=recipe)
    generator = build_generator(options, None).eval()
    audio = _noise(generator, seconds)

    def plain() -> Result:
        source = RecordedFrames(generator, partial(_frames, seconds), seconds)
        with threads(1), torch.no_grad():
            schedule = WindowSchedule(PUBLISHED_HOP, 1)
            return (schedule.process(generator, partial(_one_window, generator, source), audio),)

    ours = _side(generator, options, audio, seconds, options.windows)
    peer_name = "a window at a time, its frame encoded anew"
    name, work = f"{recipe}, {seconds:g} s", f"{seconds:g} s, a window every {PUBLISHED_HOP:g} s"
    return Case(name, peer_name, ours, plain, 1e-3, largest, seconds, work, 4.0)


def _one_window(generator: Generator, source: RecordedFrames, windows: Tensor, starts: list[int]) -> Tensor:
    middle = (starts[0] + generator.samples / 2) / generator.sample_rate
    features = FrameFeatures(generator, source).at([middle])  # with a cache of their own
    return generator.generate(windows.squeeze(1), features).float()


def _noise(generator: Generator, seconds: float) -> Tensor:
    samples = round(seconds * generator.sample_rate)
    return 0.1 * torch.randn(generator.input_channels, samples, generator=torch.Generator().manual_seed(0))


def _case(recipe: str, paper: float, seconds: float) -> Case:
    options = resolve(SpatializeOptions, f"spatialize/{recipe}", where=recipe)
    generator = build_generator(options, None).eval()
    audio = _noise(generator, seconds)
    ours, peer = (_side(generator, options, audio, seconds, batch) for batch in (1, options.windows))
    peer_name = f"{options.windows} windows at once{f'; paper {paper * seconds:.0f} ms' if paper else ''}"
    name, work = f"{recipe}, {seconds:g} s", f"{seconds:g} s, random weights, one core"
    return Case(name, peer_name, ours, peer, 1e-3, largest, seconds, work)


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
