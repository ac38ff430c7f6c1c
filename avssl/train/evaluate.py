"""Evaluation at the end of a pretraining run: task scalars on held-out clips, then the correspondence head."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.table import Table
from torch import Tensor

from avssl import plugins
from avssl.config import RunConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.evaluation.dense_localization import DenseTask, evaluate_dense_task
from avssl.evaluation.localization_scores import ANY_OBJECT, IDEAL
from avssl.evaluation.retrieval import CHANCE as CHANCE_ENDING
from avssl.io.interrupts import interrupt_on_signals
from avssl.io.progress import track
from avssl.models.encoders import Encoders
from avssl.models.runtime import evaluating, single_process
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train.resolved_run import PROBE

logger = logging.getLogger(__name__)

SPLIT = "test"
PASSES = 8
"""Random draws of each held-out clip: windows, crops, labels."""
TESTED_STEPS = "tested_steps"
PROBED_STEPS = "probed_steps"
PREFIX = "test_"
SCORES = {"avc_bin": "AVC-Bin", "avsa_bin": "AVSA-Bin"}
CHANCE = 50.0
REFERENCES = {CHANCE_ENDING: "chance", ANY_OBJECT: "any object", IDEAL: "ideal observer"}
"""Ending of a metric -> label of what it stands for."""
DIRECTIONS = {"audio_to_video": "audio -> video", "video_to_audio": "video -> audio"}


def evaluate_held_out(task: Task, config: RunConfig, folder: Path, manifest: Manifest) -> None:
    """Add the mean of each task scalar on held-out clips, loss included, to the metrics of a run as `test_NAME`.

    Without held-out clips nothing is added.

    Raises:
        InputError: a file is broken, or the task rejects all clips.
        SystemExit: with code 0 on SIGTERM, SIGHUP or Ctrl-C: the encoders are saved, evaluation begins again.
    """
    clips = manifest.select(SPLIT)
    found: dict[str, float] = {}
    try:
        with interrupt_on_signals():
            if len(clips):
                clips = filter_clips(clips, task, workers=config.data.workers)
                fabric = single_process(config.train.precision)
                found = evaluate_task(task, config, clips, fabric) | evaluate_dense(task, config, clips, fabric)
    except KeyboardInterrupt:
        logger.info("stopped; %s holds the encoders, the same command evaluates them", folder)
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, TESTED_STEPS: run_folder.read_metrics(folder)["steps"]})


def is_held_out_evaluated(folder: Path) -> bool:
    """Whether a run folder holds held-out metrics of its last step."""
    metrics = run_folder.read_metrics(folder)
    return metrics.get(TESTED_STEPS, -1) == metrics.get("steps")


def held_out_line(metrics: dict[str, float]) -> str:
    """One line of the held-out metrics, such as `held-out clips: loss 2.31, avsa_acc 0.542`; empty without any.

    Chance and ideal observers follow their metric in brackets.
    """
    held_out = {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}
    beside = {name + ending for name in held_out for ending in REFERENCES}
    scalars = [_with_references(name, held_out) for name in held_out if name not in beside]
    return f"held-out clips: {', '.join(scalars)}" if scalars else ""


def _with_references(name: str, metrics: dict[str, float]) -> str:
    """A metric, and in brackets those of `REFERENCES` that it has."""
    found = {label: metrics[name + ending] for ending, label in REFERENCES.items() if name + ending in metrics}
    references = ", ".join(f"{label} {value:.3g}" for label, value in found.items())
    return f"{name} {metrics[name]:.3g}" + (f" ({references})" if references else "")


def evaluate_task(task: Task, config: RunConfig, clips: Manifest, fabric: Fabric) -> dict[str, float]:
    """Mean of each scalar over several draws of each clip, in evaluation mode.

    Batches are as large as in training, or as the clips allow: a contrastive loss depends on the batch size.

    Returns:
        `test_NAME` for each scalar of the task's forward.
    """
    data = replace(config.data, batch=min(config.data.batch, len(clips)))
    batches = Batches(clips, task.views, data, task.encoders.sample_rate, config.train.seed)
    steps = PASSES * len(clips) // data.batch
    with evaluating(task.to(fabric.device)), closing(batches.between(0, steps)) as stream:
        shown = track(stream, "held-out clips", "batches", steps)
        return _means(task, shown, fabric)


def evaluate_dense(task: Task, config: RunConfig, clips: Manifest, fabric: Fabric) -> dict[str, float]:
    """Metrics of a dense task as `test_NAME`, see `evaluate_dense_task`; none of other tasks, or of a single clip."""
    if not isinstance(task, DenseTask) or len(clips) < 2:
        return {}
    with evaluating(task.to(fabric.device)):
        rate, seed = task.encoders.sample_rate, config.train.seed
        found = evaluate_dense_task(task, clips, config.data, rate, seed, fabric)
    return {f"{PREFIX}{name}": value for name, value in found.items()}


@torch.inference_mode()
def _means(task: Task, batches: Iterable[dict[str, Tensor]], fabric: Fabric) -> dict[str, float]:
    found: list[dict[str, Tensor]] = []
    for batch in batches:
        with fabric.autocast():
            found.append(task(fabric.to_device(batch)))
    return {f"{PREFIX}{name}": float(torch.stack([each[name].float() for each in found]).mean()) for name in found[0]}


def evaluate_correspondence(options: Any, folder: Path, path: Path, manifest: Manifest) -> None:
    """Fit and evaluate the correspondence head on saved encoders, and add its metrics to those of the run.

    Metrics of this number of steps are not computed again; without held-out clips there are none.

    Args:
        options: options of the head without its manifest; None: no evaluation.
        folder: run folder.
        path: manifest file.
        manifest: clips of the manifest.

    Raises:
        SystemExit: with code 0 on SIGTERM, SIGHUP or Ctrl-C: the encoders are saved, evaluation begins again.
    """
    if is_correspondence_evaluated(options, folder):
        return
    if not {"train", "test"} <= {row.split for row in manifest}:
        logger.warning("%s: no clips of splits 'train' and 'test', so AVC-Bin and AVSA-Bin are not measured", path)
        return
    options = replace(options, manifest=str(path))
    head = plugins.load(plugins.HEADS, PROBE)(Encoders.from_pretrained(folder), options)
    try:
        with interrupt_on_signals():
            found = head.fit(folder / PROBE)
    except KeyboardInterrupt:
        logger.info("stopped; %s holds the encoders, the same command evaluates them", folder)
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, PROBED_STEPS: run_folder.read_metrics(folder)["steps"]})


def is_correspondence_evaluated(options: Any, folder: Path) -> bool:
    """Whether a run folder holds the metrics of the correspondence head, or none are wanted."""
    metrics = run_folder.read_metrics(folder)
    return options is None or metrics.get(PROBED_STEPS, -1) == metrics.get("steps")


def accuracy_table(metrics: dict[str, float], title: str) -> Table:
    """Table of accuracies with their 95 % intervals, beside chance.

    Args:
        metrics: `avc_bin`, `avsa_bin`, with `_low` and `_high`, as fractions.
        title: title of the table.
    """
    table = Table("", "accuracy %", "95 % interval", "chance %", title=title, title_justify="left")
    for name, label in SCORES.items():
        if name in metrics:
            low, high = 100 * metrics[f"{name}_low"], 100 * metrics[f"{name}_high"]
            table.add_row(label, f"{100 * metrics[name]:.1f}", f"{low:.1f} to {high:.1f}", f"{CHANCE:.0f}")
    return table


def retrieval_table(metrics: dict[str, float], title: str) -> Table:
    """Table of cross-modal retrieval, one row for a direction, chance in brackets.

    Args:
        metrics: `audio_to_video_r1` and so on with their `_chance`, as fractions.
        title: title of the table.
    """
    labels = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "map_r": "MAP@R %"}
    table = Table("", *(f"{label} (chance)" for label in labels.values()), title=title, title_justify="left")
    for direction, label in DIRECTIONS.items():
        names = [f"{direction}_{name}" for name in labels]
        cells = [f"{100 * metrics[name]:.1f} ({100 * metrics[name + CHANCE_ENDING]:.1f})" for name in names]
        table.add_row(label, *cells)
    return table
