"""Windows that a run passes through the towers, and the seconds of each on this machine."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import nn

from avssl.config import FeatureConfig, ModelConfig
from avssl.io.cores import compute_threads
from avssl.models.encoders import Encoders
from avssl.models.runtime import single_process

BATCH = 16
"""Windows of a timed pass."""
SECONDS = 0.5
"""Least time that the passes of one kind are timed, after the first."""
WORKERS = 2
"""Loader processes beside the network, which leave it fewer threads."""


@dataclass(frozen=True)
class Passes:
    """Windows of one kind through one tower."""

    model: ModelConfig
    features: FeatureConfig
    tower: str
    """audio or video."""
    window: tuple[int, ...]
    """Shape of a window: frames, size in pixels; or seconds of audio times 1000."""
    trained: bool
    """Whether gradients are computed too."""
    precision: str
    """Lightning Fabric's name."""
    count: float = 1.0
    """Number of windows."""

    def seconds(self) -> float:
        """Time of all windows, s: that of one, as measured here, times their number."""
        return self.count * seconds_per_window(replace(self, count=1.0))


@lru_cache
def seconds_per_window(passes: Passes) -> float:
    """Median time of one window through a tower with random weights, s; takes about a second to measure."""
    encoders = Encoders(replace(passes.model, init=""), passes.features)
    fabric, tower = single_process(passes.precision), getattr(encoders, passes.tower)
    tower, inputs = fabric.to_device(tower.train(passes.trained)), fabric.to_device(_windows(passes, encoders))
    threads = torch.get_num_threads()
    if fabric.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(compute_threads(WORKERS, threads))
    try:
        return _median(lambda: _pass(tower, inputs, passes.trained, fabric)) / BATCH
    finally:
        torch.set_num_threads(threads)


def _windows(passes: Passes, encoders: Encoders) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if passes.tower == "video":
        frames, size = passes.window
        return torch.randint(256, (BATCH, frames, 3, size, size), generator=generator, dtype=torch.uint8)
    samples = math.ceil(passes.window[0] / 1000 * encoders.sample_rate)
    return torch.randn(BATCH, max(encoders.features.accepted), samples, generator=generator)


def _pass(tower: nn.Module, inputs: torch.Tensor, trained: bool, fabric: object) -> None:
    with torch.set_grad_enabled(trained), fabric.autocast():  # type: ignore[attr-defined]
        embedding = tower(inputs)
    if trained:
        embedding.square().mean().backward()
    float(embedding.detach().sum())  # a GPU has finished


def _median(work: Callable[[], None]) -> float:
    work()
    taken: list[float] = []
    while sum(taken) < SECONDS or len(taken) < 2:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)
