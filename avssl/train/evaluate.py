"""Evaluation at the end of a pretraining run: task scalars on held-out clips, then the correspondence head."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl import plugins
from avssl.config import DataConfig, RunConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.evaluation.dense_localization import DenseTask, evaluate_dense_task
from avssl.evaluation.reference_scores import ReferenceTask, measured
from avssl.evaluation.scene_truth import SceneObjects, read_scene_truth
from avssl.evaluation.scene_views import IndexedViews, scenes_of, without_index
from avssl.io.interrupts import interrupt_on_signals
from avssl.io.progress import track
from avssl.models.encoders import Encoders
from avssl.models.runtime import evaluating, single_process
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train.resolved_run import PROBE, ResolvedRun
from avssl.train.summary_tables import PREFIX

logger = logging.getLogger(__name__)

SPLIT = "test"
PASSES = 8
"""Random draws of each held-out clip: windows, crops, labels."""
TESTED_STEPS = "tested_steps"
PROBED_STEPS = "probed_steps"
TESTED_SEED, PROBED_SEED = "tested_seed", "probed_seed"
"""Seed of the synthetic dataset that the metrics are from."""


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
                found = evaluate_task(task, config, clips, fabric) | evaluate_dense(task, config, clips, fabric, folder)
    except KeyboardInterrupt:
        logger.info("stopped; %s holds the encoders, the same command evaluates them", folder)
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, **_origin(folder, config.data, TESTED_STEPS, TESTED_SEED)})


def is_held_out_evaluated(folder: Path, data: DataConfig) -> bool:
    """Whether a run folder holds held-out metrics of its last step, on the dataset that evaluates the run."""
    return _is_evaluated(folder, data, TESTED_STEPS, TESTED_SEED)


def evaluation_seed(data: DataConfig) -> int | None:
    """Seed of the synthetic dataset that evaluates a run; None for a manifest."""
    if data.manifest:
        return None
    return data.synthetic_seed if data.validation_seed is None else data.validation_seed


def _origin(folder: Path, data: DataConfig, steps: str, seed: str) -> dict[str, float]:
    """Of metrics: the steps of the run, and the seed of the dataset."""
    known, found = run_folder.read_metrics(folder), evaluation_seed(data)
    return {steps: known["steps"]} | ({} if found is None else {seed: found})


def _is_evaluated(folder: Path, data: DataConfig, steps: str, seed: str) -> bool:
    """Whether the metrics of a run folder have the origin that they would have now."""
    metrics = run_folder.read_metrics(folder)
    same_data = data.manifest or metrics.get(seed, data.synthetic_seed) == evaluation_seed(data)
    return metrics.get(steps, -1) == metrics.get("steps") and bool(same_data)


def evaluate_task(task: Task, config: RunConfig, clips: Manifest, fabric: Fabric) -> dict[str, float]:
    """Mean of each scalar over several draws of each clip, in evaluation mode, and its references on the same draws.

    Batches are as large as in training, or as the clips allow: a contrastive loss depends on the batch size.

    Returns:
        `test_NAME` for each scalar of the task's forward; for those that a `ReferenceTask` states them for, also
        `test_NAME_chance`, and with ground truth those of ideal observers.
    """
    data = replace(config.data, batch=min(config.data.batch, len(clips)))
    views = IndexedViews.of(task.views, clips, data)
    batches = Batches(clips, views, data, task.encoders.sample_rate, config.train.seed)
    steps = PASSES * len(clips) // data.batch
    truth = read_scene_truth(clips.root) if isinstance(task, ReferenceTask) else None
    found: list[dict[str, float]] = []
    with evaluating(task.to(fabric.device)), closing(batches.between(0, steps)) as stream:
        for batch in track(stream, "held-out clips", "batches", steps):
            scenes = scenes_of(truth, clips, batch) if truth else None
            found.append(_scores(task, without_index(batch), scenes, fabric))
    return {f"{PREFIX}{name}": fmean(each[name] for each in found) for name in found[0]}


def evaluate_dense(
    task: Task, config: RunConfig, clips: Manifest, fabric: Fabric, folder: Path | None = None
) -> dict[str, float]:
    """Metrics of a dense task as `test_NAME`, see `evaluate_dense_task`; none of other tasks, or of a single clip."""
    if not isinstance(task, DenseTask) or len(clips) < 2:
        return {}
    with evaluating(task.to(fabric.device)):
        rate, seed = task.encoders.sample_rate, config.train.seed
        found = evaluate_dense_task(task, clips, config.data, rate, seed, fabric, folder)
    return {f"{PREFIX}{name}": value for name, value in found.items()}


@torch.inference_mode()
def _scores(
    task: Task, batch: dict[str, Tensor], scenes: Sequence[SceneObjects] | None, fabric: Fabric
) -> dict[str, float]:
    """Scalars of a batch and their references."""
    with fabric.autocast():
        scalars = {name: float(each) for name, each in task(fabric.to_device(batch)).items()}
    references = task.reference_scores(batch, scenes) if isinstance(task, ReferenceTask) else {}
    return scalars | {name: each for name, each in references.items() if measured(name) in scalars}


def evaluate_correspondence(
    run: ResolvedRun, folder: Path, path: Path, manifest: Manifest, held_out: tuple[Path, Manifest]
) -> None:
    """Fit and evaluate the correspondence head on saved encoders, and add its metrics to those of the run.

    Metrics of this number of steps on this dataset are not computed again; without held-out clips there are none.

    Args:
        run: config and options of the run; without options of the head there is no evaluation.
        folder: run folder.
        path: manifest file of the training dataset.
        manifest: its clips.
        held_out: manifest file and clips of the dataset that evaluates the run.

    Raises:
        SystemExit: with code 0 on SIGTERM, SIGHUP or Ctrl-C: the encoders are saved, evaluation begins again.
    """
    if is_correspondence_evaluated(run, folder):
        return
    if not (len(manifest.select("train")) and len(held_out[1].select(SPLIT))):
        logger.warning("%s: no clips of splits 'train' and 'test', so AVC-Bin and AVSA-Bin are not measured", path)
        return
    projections = str(folder) if callable(getattr(run.task, "project", None)) else ""
    options = replace(run.probe, manifest=str(path), test_manifest=str(held_out[0]), projections=projections)
    head = plugins.load(plugins.HEADS, PROBE)(Encoders.from_pretrained(folder), options)
    try:
        with interrupt_on_signals():
            found = head.fit(folder / PROBE)
    except KeyboardInterrupt:
        logger.info("stopped; %s holds the encoders, the same command evaluates them", folder)
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, **_origin(folder, run.config.data, PROBED_STEPS, PROBED_SEED)})


def is_correspondence_evaluated(run: ResolvedRun, folder: Path) -> bool:
    """Whether a run folder holds the metrics of the correspondence head, or none are wanted."""
    return run.probe is None or _is_evaluated(folder, run.config.data, PROBED_STEPS, PROBED_SEED)
