"""Parts of a training step: forward, backward, optimiser, waiting for data, and everything else."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from avssl.bench.case import Quantity, Row, Size, left_out
from avssl.config import RunConfig, TrainConfig
from avssl.data.loader import Batches
from avssl.datasets.manifest import read_manifest
from avssl.media import close_all
from avssl.models.runtime import single_process
from avssl.recipe_files import resolve
from avssl.synth.synth360 import Synth360
from avssl.train.data_timer import Batch
from avssl.train.loop import fit
from avssl.train.pretrain import build_task
from avssl.train.resolved_run import resolve_run

T = TypeVar("T")
PARTS = ("forward", "backward", "optimiser", "waiting for data", "everything else", "whole step")
SMALL, FULL = "avsa/small", "avsa/full"


def small(size: Size, folder: Path) -> list[Row]:
    """A step of `avsa/small`, with its own batch where there are as many scenes."""
    return _quantities(SMALL, min(size.scenes, 32), size, folder)


def full(size: Size, folder: Path) -> list[Row]:
    """A step of `avsa/full` of a few clips."""
    if not size.full_clips:
        return [left_out("step-full")]
    return _quantities(FULL, size.full_clips, size, folder)


def _quantities(recipe: str, clips: int, size: Size, folder: Path) -> list[Row]:
    config = _config(recipe, clips, size, folder)
    work = f"step of {recipe}, {clips} clips, {config.data.workers} loader processes"
    name = "step-small" if recipe == SMALL else "step-full"
    return [Quantity(name, partial(step_parts, config, size.steps), "ms", work, 1)]


def _config(recipe: str, clips: int, size: Size, folder: Path) -> RunConfig:
    config = resolve(RunConfig, recipe, where=recipe)
    options = Synth360.Options(
        clips=max(clips, size.scenes), seconds=max(1.6, config.data.seconds), width=2 * size.height,
        sample_rate=config.features.sample_rate,
    )  # fmt: skip
    manifest = Synth360(options).render(folder / "scenes", workers=1, progress=False)
    workers = config.data.workers if size.processes else 0
    data = replace(config.data, manifest=str(manifest), batch=clips, workers=workers)
    return replace(config, data=data, train=replace(config.train, log_every=10**6, show_every=10**6))


def step_parts(config: RunConfig, steps: int) -> dict[str, float]:
    """Mean milliseconds of the parts of a step, over some steps after one that warms up.

    Runs the loop of `avssl pretrain` with its loader; on a GPU, each part waits for the device, which makes the whole
    longer than it is in training.
    """
    resolved = resolve_run(config)
    task, manifest, clock = build_task(resolved), read_manifest(Path(config.data.manifest)), Clock()
    loader = Batches(manifest, task.views, config.data, config.features.sample_rate, config.train.seed)
    fabric = single_process(config.train.precision)
    task.forward = clock.timed("forward", task.forward)  # type: ignore[method-assign]
    fabric.backward = clock.timed("backward", fabric.backward)  # type: ignore[method-assign]
    fabric.setup = _setup_timed(fabric.setup, clock)  # type: ignore[method-assign]
    source = TimedSource(loader, clock)
    train: TrainConfig = replace(config.train, steps=steps + 1, save_every=10**6)
    fit(task, source, train, config.optim, None, fabric=fabric, resume=False, progress=False)
    close_all()
    whole = 1000 * (clock.last - source.first) / steps
    found = {part: 1000 * clock.seconds[part] / steps for part in PARTS[:4]}
    return found | {PARTS[4]: whole - sum(found.values()), PARTS[5]: whole}


class Clock:
    """Seconds spent in named functions."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.last = 0.0

    def timed(self, name: str, work: Callable[..., T]) -> Callable[..., T]:
        """The same function, timed."""

        def run(*args: Any, **options: Any) -> T:
            begin = _now()
            result = work(*args, **options)
            self.last = _now()
            self.seconds[name] += self.last - begin
            return result

        return run


class TimedSource:
    """Batches whose waiting time is counted; the first step is not."""

    def __init__(self, loader: Batches, clock: Clock) -> None:
        self.loader, self.clock, self.first = loader, clock, 0.0
        self.workers = loader.workers

    def between(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """The batches; everything is counted from the second one on."""
        batches = self.loader.between(start, stop)
        read = self.clock.timed("waiting for data", partial(next, batches))
        for step in range(start, stop):
            if step == start + 1:
                self.clock.seconds.clear()
                self.first = _now()
            yield read()
        batches.close()


def _setup_timed(setup: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    def run(*args: Any, **options: Any) -> Any:
        module, optimizer = setup(*args, **options)
        optimizer.step = clock.timed("optimiser", optimizer.step)
        return module, optimizer

    return run


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
