"""A trained task on the clips that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import track
from torch import Tensor

from avssl.config import RunConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.models.runtime import evaluating, single_process
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train.signals import interrupting

SPLIT = "test"
PASSES = 8
"""Draws of each held-out clip: its windows, crops and labels are random."""
DONE = "tested_steps"
PREFIX = "test_"


def run(task: Task, config: RunConfig, folder: Path, manifest: Manifest, console: Console) -> None:
    """Add `test_NAME` for each scalar of the task, loss included, to the run's numbers.

    Without held-out clips there are none.

    Raises:
        InputError: a file is broken, or the task rejects all clips.
        SystemExit: with code 0 when SIGTERM or Ctrl-C came: what was trained is saved, measuring begins again.
    """
    clips = manifest.select(SPLIT)
    found: dict[str, float] = {}
    try:
        with interrupting():
            if len(clips):
                clips = filter_clips(clips, task, workers=config.data.workers)
                found = measure(task, config, clips, single_process(config.train.precision))
    except KeyboardInterrupt:
        console.print(f"stopped; {folder} holds the encoders, the same command measures them")
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, DONE: run_folder.read_metrics(folder)["steps"]})


def done(folder: Path) -> bool:
    """Whether a run folder holds the numbers of its weights, or there is nothing to measure them on."""
    metrics = run_folder.read_metrics(folder)
    return metrics.get(DONE, -1) == metrics.get("steps")


def line(metrics: dict[str, float]) -> str:
    """What a person reads of them: `held-out clips: loss 2.31, avsa_acc 0.542`; empty if there are none."""
    mine = [f"{name.removeprefix(PREFIX)} {value:.3g}" for name, value in metrics.items() if name.startswith(PREFIX)]
    return f"held-out clips: {', '.join(mine)}" if mine else ""


def measure(task: Task, config: RunConfig, clips: Manifest, fabric: Fabric) -> dict[str, float]:
    """Mean of each scalar over several draws of each clip, in evaluation mode.

    Batches are as large as in training, or as the clips allow: a contrastive loss depends on that.

    Returns:
        `test_NAME` for each scalar of the task's forward.
    """
    data = replace(config.data, batch=min(config.data.batch, len(clips)))
    batches = Batches(clips, task.views, data, task.encoders.sample_rate, config.train.seed)
    steps = PASSES * len(clips) // data.batch
    console = Console(stderr=True)
    with evaluating(task.to(fabric.device)), closing(batches.between(0, steps)) as stream:
        shown = track(stream, "held-out clips", steps, console=console, disable=not console.is_terminal)
        return _means(task, shown, fabric)


@torch.inference_mode()
def _means(task: Task, batches: Iterable[dict[str, Tensor]], fabric: Fabric) -> dict[str, float]:
    found: list[dict[str, Tensor]] = []
    for batch in batches:
        with fabric.autocast():
            found.append(task(fabric.to_device(batch)))
    return {f"{PREFIX}{name}": float(torch.stack([each[name].float() for each in found]).mean()) for name in found[0]}
