"""Pretraining: from a config to a run folder with encoders, metrics and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from avssl.config import RunConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches, read_clip
from avssl.datasets.manifest import Manifest
from avssl.errors import InputError
from avssl.io.memory import peak_mb
from avssl.models.encoder_factory import build_encoders
from avssl.models.encoders import Encoders
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train import checkpoint, data_source, distributed, heldout, probe
from avssl.train.loop import fit
from avssl.train.resolved_run import ResolvedRun, resolve_run
from avssl.train.visualize import draw_curve

CLIPS_FOR_STATISTICS = 96


def pretrain(
    config: RunConfig, folder: Path, *, recipe: str = "", command: Sequence[str] = (), progress: bool = True
) -> dict[str, float]:
    """Train encoders on a pretext task, save them, and evaluate them.

    Continues a run that was begun in `folder`. Started by torchrun, all its processes train together.

    Args:
        config: the whole run.
        folder: takes config, checkpoints, encoders, metrics, figures and TensorBoard events.
        recipe: where the config came from; written down, and named in errors.
        command: command line to write down.
        progress: show bars and tables.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: unknown task, options, features or weights; unusable data; a folder of another run.
        OSError: something cannot be read or written.
        SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came.
    """
    run_folder.check(folder, config)
    run = PretrainRun(resolve_run(config, recipe), folder, tuple(command), progress)
    if run.is_complete():
        run.console.print(f"{folder}: already complete")
    else:
        with distributed.processes(config.train.precision) as fabric:
            run.build_task()
            run.load_clips(fabric)
            if not run.is_trained():
                run.filter_clips(fabric)
                run.fit_statistics()
                run.write_config(fabric)
                run.train(fabric)
                run.save(fabric)
        if not fabric.is_global_zero:
            return run_folder.read_metrics(folder)
        run.evaluate_held_out()
        run.evaluate_correspondence()
    run_folder.write_title(folder, config)
    run.print_summary()
    return run_folder.read_metrics(folder)


class PretrainRun:
    """One pretraining run: its state, and the steps of `pretrain`, which are called in order.

    Args:
        resolved: config, task and options.
        folder: of the run.
        command: command line to write down.
        progress: show bars and tables.
    """

    task: Task
    """Network in training; made by `build_task`."""
    path: Path
    """Of the manifest."""
    manifest: Manifest
    """All clips; set by `load_clips`."""
    clips: Manifest
    """Clips to train on; set by `filter_clips`."""
    metrics: dict[str, float]
    """Set by `train`."""

    def __init__(self, resolved: ResolvedRun, folder: Path, command: tuple[str, ...], progress: bool) -> None:
        self.resolved, self.config = resolved, resolved.config
        self.folder, self.command, self.progress = folder, command, progress
        self.console = Console(quiet=not progress, highlight=False, markup=False, soft_wrap=True)

    def is_trained(self) -> bool:
        """Whether the folder holds encoders of the run's length."""
        return run_folder.complete(self.folder, self.config.train.steps)

    def is_complete(self) -> bool:
        """Whether the folder holds trained encoders and all their numbers."""
        return self.is_trained() and heldout.done(self.folder) and probe.done(self.resolved.probe, self.folder)

    def build_task(self) -> None:
        """Make the task around new encoders."""
        self.task = build_task(self.resolved)

    def load_clips(self, fabric: Fabric) -> None:
        """Read the manifest, rendering a synthetic dataset first where that is asked for."""
        shown = self.progress and fabric.is_global_zero
        with fabric.rank_zero_first(local=True):
            self.path, self.manifest = data_source.clips(self.config.data, self.config.features.sample_rate, shown)

    def filter_clips(self, fabric: Fabric) -> None:
        """Choose the clips to train on: of the split train, without those that the task rejects."""
        labelled, workers = data_source.training(self.manifest), self.config.data.workers
        self.clips = distributed.on_first_rank(fabric, lambda: filter_clips(labelled, self.task, workers=workers))

    def fit_statistics(self) -> None:
        """Fit the mean and deviation of the features, unless a checkpoint holds them."""
        if not (self.folder / checkpoint.LAST).is_file():
            fit_statistics(self.task.encoders, self.config, self.clips)

    def write_config(self, fabric: Fabric) -> None:
        """Write the resolved config and the environment."""
        if fabric.is_global_zero:
            run_folder.begin(self.folder, self.config, self.resolved.recipe, self.command)

    def train(self, fabric: Fabric) -> None:
        """Fit the weights, from the last checkpoint if there is one."""
        config, rate, rank = self.config, self.task.encoders.sample_rate, fabric.global_rank
        batches = Batches(
            self.clips, self.task.views, config.data, rate, config.train.seed, rank=rank, world=fabric.world_size
        )
        title = f"{config.task} {config.features.name}"
        self.metrics = fit(
            self.task,
            batches,
            config.train,
            config.optim,
            self.folder,
            fabric=fabric,
            progress=self.progress,
            title=title,
        )

    def save(self, fabric: Fabric) -> None:
        """Write metrics, the loss curve, the encoders, and the task's own weights."""
        if not fabric.is_global_zero:
            return
        gpu = torch.cuda.is_available()
        memory = {"peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6} if gpu else {}
        run_folder.add_metrics(self.folder, {**self.metrics, **memory, "peak_memory_mb": peak_mb()})
        curve = checkpoint.load(self.folder / checkpoint.LAST)["run"]["curve"]
        draw_curve(self.folder / run_folder.FIGURES / "loss.png", curve)
        save_encoders(self.task.encoders, self.config, self.folder, self.metrics)
        save_task(self.task, self.folder)

    def evaluate_held_out(self) -> None:
        """Add the task's scalars on held-out clips to the metrics."""
        if not heldout.done(self.folder):
            task = trained_task(self.resolved, self.folder)
            heldout.run(task, self.config, self.folder, self.manifest, self.console)

    def evaluate_correspondence(self) -> None:
        """Add AVC-Bin and AVSA-Bin accuracies of the saved encoders to the metrics."""
        probe.run(self.resolved.probe, self.folder, self.path, self.manifest, self.console)

    def print_summary(self) -> None:
        """Print the numbers on held-out clips and where the run lies."""
        metrics = run_folder.read_metrics(self.folder)
        if scalars := heldout.line(metrics):
            self.console.print(scalars)
        if probe.SCORES.keys() <= metrics.keys():
            title = f"{self.config.task} {self.config.features.name}, held-out clips"
            self.console.print(probe.table(metrics, title))
        if {f"{direction}_r1" for direction in probe.DIRECTIONS} <= metrics.keys():
            self.console.print(probe.retrieval_table(metrics, "retrieval among windows of held-out clips"))
        self.console.print(f"run folder: {self.folder}")


def build_task(run: ResolvedRun) -> Task:
    """The task of a run around new encoders; the same weights for the same seed.

    Raises:
        InputError: unknown features, backbones or weights.
    """
    torch.manual_seed(run.config.train.seed)
    task = run.task(build_encoders(run.config.model, run.config.features), run.options)
    task.encoders.geometry = task.geometry(run.config.data)
    return task


def trained_task(run: ResolvedRun, folder: Path) -> Task:
    """The task of a run folder with the weights of its last checkpoint."""
    task = build_task(replace(run, config=replace(run.config, model=replace(run.config.model, init=""))))
    checkpoint.restore(folder / checkpoint.LAST, task)
    return task


def fit_statistics(encoders: Encoders, config: RunConfig, manifest: Manifest) -> None:
    """Fit the features to the sound of a manifest.

    A folder of encoders to start from brings statistics of its own; AVSA's published file has none.

    Raises:
        InputError: a file is broken, or its sound has other channels than the features start from.
    """
    if not (config.model.init and Path(config.model.init).is_dir()):
        encoders.fit_features(waveforms(manifest, config, encoders))


def waveforms(manifest: Manifest, config: RunConfig, encoders: Encoders) -> Iterator[Tensor]:
    """Sound of up to 96 clips spread over a manifest, `(channels, samples)` each; always the same ones."""
    accepted = encoders.features.accepted
    for row in manifest.rows[:: -(-len(manifest) // CLIPS_FOR_STATISTICS)]:
        audio = read_clip(row, manifest.root, config.data, encoders.sample_rate, None).audio
        if len(audio) not in accepted:
            wanted = f"{encoders.features.name} starts from {' or '.join(map(str, accepted))} channels of sound"
            raise InputError(f"{manifest.root / row.audio}: {wanted}, this has {len(audio)}")
        yield audio


def save_encoders(encoders: Encoders, config: RunConfig, folder: Path, metrics: dict[str, float]) -> None:
    """Publish the encoders: what they are, how they were trained, weights."""
    data = config.data
    training = {
        "task": config.task,
        "options": config.options,
        "steps": int(metrics["steps"]),
        "clips a step": data.batch,
        "data": data.manifest or f"{data.synthetic_dataset}, {data.clips} scenes of {data.clip_seconds:g} s",
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
