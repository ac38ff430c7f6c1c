"""Pretraining, from a config to a folder with encoders, numbers and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches, read_clip
from avssl.data.manifest import Manifest
from avssl.models.encoder_factory import build_encoders
from avssl.models.encoders import Encoders
from avssl.task import Task
from avssl.train import checkpoint, heldout, launch, probe, run_folder, world
from avssl.train.loop import fit
from avssl.train.memory import peak_mb
from avssl.train.show import draw_curve

CLIPS_FOR_STATISTICS = 96


def pretrain(
    config: RunConfig, folder: Path, *, recipe: str = "", command: Sequence[str] = (), progress: bool = True
) -> dict[str, float]:
    """Train encoders on a pretext task, save them, and measure what they have learned.

    Continues a run that was begun in `folder`. Started by torchrun, all its processes train together.

    Args:
        config: the whole run.
        folder: takes config, checkpoints, encoders, metrics, pictures and TensorBoard events.
        recipe: where the config came from; written down, and named in errors.
        command: command line to write down.
        progress: show bars and tables.

    Returns:
        What `metrics.json` holds.

    Raises:
        ValueError: unknown task, options, features or weights; unusable data; a folder of another run.
        OSError: something cannot be read or written.
        SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came.
    """
    run_folder.check(folder, config)
    console = Console(quiet=not progress, highlight=False, markup=False, soft_wrap=True)
    if run_folder.complete(folder, config.train.steps) and heldout.done(folder) and probe.done(config, folder):
        console.print(f"{folder}: already complete")
    else:
        with launch.processes(config.train.precision) as fabric:
            path, manifest = _trained(config, folder, fabric, recipe, command, progress)
        if not fabric.is_global_zero:
            return run_folder.read_metrics(folder)
        if not heldout.done(folder):
            heldout.run(trained(config, folder), config, folder, manifest, console)
        probe.run(config, folder, path, manifest, console)
    run_folder.entitle(folder, config)
    metrics = run_folder.read_metrics(folder)
    if scalars := heldout.line(metrics):
        console.print(scalars)
    if probe.SCORES.keys() <= metrics.keys():
        console.print(probe.table(metrics, f"{config.task} {config.features.name}, held-out clips"))
    console.print(f"run folder: {folder}")
    return metrics


def _trained(
    config: RunConfig, folder: Path, fabric: Fabric, recipe: str, command: Sequence[str], progress: bool
) -> tuple[Path, Manifest]:
    """Leave trained encoders in the folder, unless they are there; the clips they were trained on."""
    first = fabric.is_global_zero
    task = build_task(config, recipe)
    world.check(config.data, task.options)
    probe.check(config)
    with fabric.rank_zero_first(local=True):
        path, manifest = world.clips(config.data, config.features.sample_rate, progress and first)
    if not run_folder.complete(folder, config.train.steps):
        labelled, workers = world.training(manifest), config.data.workers
        clips = launch.on_first_rank(fabric, lambda: filter_clips(labelled, task, workers=workers))
        if not (folder / checkpoint.LAST).is_file():
            fit_statistics(task.encoders, config, clips)
        if first:
            run_folder.begin(folder, config, recipe, command)
        metrics = train(task, config, folder, clips, fabric, progress)
        if first:
            finish(task, config, folder, metrics)
    return path, manifest


def build_task(config: RunConfig, recipe: str = "") -> Task:
    """The task of a run around new encoders; the same weights for the same seed.

    Raises:
        ValueError: unknown task, options, features or weights.
    """
    kind = plugins.load(plugins.TASKS, config.task)
    options = fill(kind.Options, config.options, where=f"{recipe or config.task}: options")
    torch.manual_seed(config.train.seed)
    task: Task = kind(build_encoders(config.model, config.features), options)
    return task


def trained(config: RunConfig, folder: Path) -> Task:
    """The task of a run folder with the weights of its last checkpoint."""
    task = build_task(replace(config, model=replace(config.model, weights="")))
    checkpoint.restore(folder / checkpoint.LAST, task)
    return task


def train(
    task: Task, config: RunConfig, folder: Path, manifest: Manifest, fabric: Fabric, progress: bool = True
) -> dict[str, float]:
    """Fit the weights."""
    rate = task.encoders.sample_rate
    batches = Batches(
        manifest, task.views, config.data, rate, config.train.seed, rank=fabric.global_rank, world=fabric.world_size
    )
    title = f"{config.task} {config.features.name}"
    return fit(task, batches, config.train, config.optim, folder, fabric=fabric, progress=progress, title=title)


def fit_statistics(encoders: Encoders, config: RunConfig, manifest: Manifest) -> None:
    """Fit the features to the sound of a manifest.

    A folder of encoders to start from brings statistics of its own; AVSA's published file has none.

    Raises:
        ValueError: a file is broken, or its sound has other channels than the features start from.
    """
    if not (config.model.weights and Path(config.model.weights).is_dir()):
        encoders.fit_features(sounds(manifest, config, encoders))


def sounds(manifest: Manifest, config: RunConfig, encoders: Encoders) -> Iterator[Tensor]:
    """Sound of up to 96 clips spread over a manifest, `(channels, samples)` each; always the same ones."""
    accepted = encoders.features.accepted
    for row in manifest.rows[:: -(-len(manifest) // CLIPS_FOR_STATISTICS)]:
        sound = read_clip(row, manifest.root, config.data, encoders.sample_rate, None).sound
        if len(sound) not in accepted:
            wanted = f"{encoders.features.name} starts from {' or '.join(map(str, accepted))} channels of sound"
            raise ValueError(f"{manifest.root / row.sound}: {wanted}, this has {len(sound)}")
        yield sound


def finish(task: Task, config: RunConfig, folder: Path, metrics: dict[str, float]) -> None:
    """Leave encoders, what the task has beside them, metrics and the curve of the loss in the folder."""
    if torch.cuda.is_available():
        metrics = {**metrics, "peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6}
    run_folder.add_metrics(folder, {**metrics, "peak_memory_mb": peak_mb()})
    draw_curve(folder / run_folder.FIGURES / "loss.png", checkpoint.load(folder / checkpoint.LAST)["run"]["curve"])
    save_encoders(task.encoders, config, folder, metrics)
    save_task(task, folder)


def save_encoders(encoders: Encoders, config: RunConfig, folder: Path, metrics: dict[str, float]) -> None:
    """Publish the encoders: what they are, how they were trained, weights."""
    data = config.data
    training = {
        "task": config.task,
        "options": config.options,
        "steps": int(metrics["steps"]),
        "clips a step": data.batch,
        "data": data.manifest or f"{data.world}, {data.clips} scenes of {data.clip_seconds:g} s",
        "optimiser": asdict(config.optim),
        "seed": config.train.seed,
        "loss": round(metrics["loss"], 4),
    }
    encoders.save(folder / run_folder.ENCODERS, training=training)


def save_task(task: Task, folder: Path) -> None:
    """Keep what the task trained beside the encoders; nothing, if that is nothing."""
    own = {name: each for name, each in task.state_dict().items() if not name.startswith("encoders.")}
    if own:
        with checkpoint.replacing(folder / run_folder.TASK) as part:
            save_file({name: each.cpu().contiguous() for name, each in own.items()}, part)
