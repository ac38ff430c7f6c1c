"""Pretraining: from a config to a run folder with encoders, metrics and figures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor

from avssl.config import DataConfig, RunConfig
from avssl.data.clip_filter import filter_clips
from avssl.data.loader import Batches, read_clip
from avssl.data.worker_loader import Batch, in_order
from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.io.atomic import durably_replacing
from avssl.io.folder_lock import folder_lock
from avssl.io.memory import peak_mb
from avssl.io.tables import table_text
from avssl.io.tensor_files import SUFFIX
from avssl.models.encoder_factory import build_encoders
from avssl.models.encoders import Encoders
from avssl.runs import run_folder
from avssl.task import Task
from avssl.train import checkpoint, data_source, distributed, evaluate, summary_tables
from avssl.train.loop import fit
from avssl.train.process_checks import check_same_config
from avssl.train.resolved_run import ResolvedRun, resolve_run
from avssl.train.visualize import draw_curve

logger = logging.getLogger(__name__)

CLIPS_FOR_STATISTICS = 96


def pretrain(
    config: RunConfig, folder: Path, *, recipe: str = "", command: Sequence[str] = (), progress: bool = True
) -> dict[str, float]:
    """Train encoders on a pretext task, save them, and evaluate them.

    Continues a run that `folder` holds, in whichever stage of a curriculum it is. Under torchrun all processes train
    together.

    Args:
        config: config of the run.
        folder: run folder, for config, checkpoints, encoders, metrics, figures and TensorBoard events.
        recipe: name of the recipe, for the record and for errors.
        command: command line, for the record.
        progress: show bars, or log lines where standard error is no terminal.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: unknown task, options, features or weights; unusable data; a folder of another run, or one that
            another process writes to; processes with other configs, or one that has ended.
        OSError: something cannot be read or written.
        SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C.
    """
    run_folder.check_place(folder)
    stages = resolve_run(config, recipe).stages(folder)
    runs = [PretrainRun(stage, place, tuple(command), progress) for stage, place in stages]
    with ExitStack() as held:
        with distributed.processes(config.train.precision) as fabric:
            check_same_config(fabric, asdict(config))
            for run in reversed(runs):
                distributed.on_first_rank(fabric, partial(held.enter_context, folder_lock(run.folder)))
                run_folder.check_config(run.folder, run.config)
            runs = runs[-1:] if runs[-1].is_complete() else runs  # what it started from may be gone
            complete = [run.make_or_skip(fabric) for run in runs]
        if fabric.is_global_zero:
            for run, finished in zip(runs, complete, strict=True):
                run.finish(finished)
    return run_folder.read_metrics(folder)


class PretrainRun:
    """State of a pretraining run, and the steps of `pretrain` in their order.

    Args:
        resolved: config, task and options.
        folder: of the run.
        command: command line, for the record.
        progress: show bars, or log lines where standard error is no terminal.
    """

    task: Task
    """Network in training; made by `build_task`."""
    path: Path
    """Path of the manifest."""
    manifest: Manifest
    """All clips; set by `load_clips`."""
    clips: Manifest
    """Clips to train on; set by `filter_clips`."""
    metrics: dict[str, float]
    """Set by `train`."""

    def __init__(self, resolved: ResolvedRun, folder: Path, command: tuple[str, ...], progress: bool) -> None:
        self.resolved, self.config = resolved, resolved.config
        self.folder, self.command, self.progress = folder, command, progress

    def is_trained(self) -> bool:
        """Whether the folder holds encoders of the run's length."""
        return run_folder.complete(self.folder, self.config.train.steps)

    def is_complete(self) -> bool:
        """Whether the folder holds trained encoders and all their numbers."""
        return (
            self.is_trained()
            and evaluate.is_held_out_evaluated(self.folder, self.config.data)
            and evaluate.is_correspondence_evaluated(self.resolved, self.folder)
        )

    def make_or_skip(self, fabric: Fabric) -> bool:
        """Make the run, unless it is complete; returns whether it was."""
        if complete := self.is_complete():
            logger.info("%s: already complete", self.folder)
        else:
            self.make(fabric)
        return complete

    def make(self, fabric: Fabric) -> None:
        """Train the encoders, unless they are trained, and save them; all processes work together."""
        self.build_task()
        self.load_clips(fabric)
        if not self.is_trained():
            self.filter_clips(fabric)
            self.fit_statistics()
            self.write_config(fabric)
            self.train(fabric)
            self.save(fabric)

    def finish(self, complete: bool) -> None:
        """Evaluate the encoders, unless the folder holds all their numbers; write the title."""
        if not complete:
            rate = self.config.features.sample_rate
            held_out = data_source.evaluation_clips(self.config.data, rate, self.path, self.manifest, self.progress)
            self.evaluate_held_out(held_out[1])
            self.evaluate_correspondence(held_out)
        run_folder.write_title(self.folder, self.config)

    def build_task(self) -> None:
        """Make the task around new encoders."""
        self.task = build_task(self.resolved)

    def load_clips(self, fabric: Fabric) -> None:
        """Read the manifest, rendering a synthetic dataset first where that is asked for."""
        shown = self.progress and fabric.is_global_zero
        self.path, self.manifest = distributed.first_on_each_machine(
            fabric, lambda: data_source.clips(self.config.data, self.config.features.sample_rate, shown)
        )

    def filter_clips(self, fabric: Fabric) -> None:
        """Select the training clips: split train, without clips that the task rejects."""
        labelled, workers = data_source.training(self.manifest), self.config.data.workers
        self.clips = distributed.on_first_rank(fabric, lambda: filter_clips(labelled, self.task, workers=workers))

    def fit_statistics(self) -> None:
        """Fit the mean and deviation of the features, unless a checkpoint holds them."""
        if not (self.folder / checkpoint.LAST).is_file():
            fit_statistics(self.task.encoders, self.config, self.clips, self.resolved.init)

    def write_config(self, fabric: Fabric) -> None:
        """Write the resolved config and the environment."""
        resolved = self.resolved
        distributed.on_first_rank(
            fabric, lambda: run_folder.init_run_folder(self.folder, self.config, resolved.recipe, self.command)
        )

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
        distributed.on_first_rank(fabric, self._save)

    def _save(self) -> None:
        gpu = torch.cuda.is_available()
        memory = {"peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6} if gpu else {}
        run_folder.add_metrics(self.folder, {**self.metrics, **memory, "peak_memory_mb": peak_mb()})
        curve = checkpoint.load(self.folder / checkpoint.LAST)["run"]["curve"]
        draw_curve(self.folder / run_folder.FIGURES / "loss.png", curve)
        save_encoders(self.task.encoders, self.config, self.folder, self.metrics)
        save_task(self.task, self.folder)

    def evaluate_held_out(self, clips: Manifest) -> None:
        """Add the task's scalars on held-out clips to the metrics."""
        if not evaluate.is_held_out_evaluated(self.folder, self.config.data):
            task = trained_task(self.resolved, self.folder)
            evaluate.evaluate_held_out(task, self.config, self.folder, clips)

    def evaluate_correspondence(self, held_out: tuple[Path, Manifest]) -> None:
        """Add AVC-Bin and AVSA-Bin accuracies of the saved encoders to the metrics."""
        evaluate.evaluate_correspondence(self.resolved, self.folder, self.path, self.manifest, held_out)


def summary(config: RunConfig, folder: Path) -> str:
    """The numbers of a run on held-out clips, as text with tables, and its folder."""
    metrics = run_folder.read_metrics(folder)
    tables = summary_tables.tables(metrics, f"{config.task} {config.features.name}", config.data.validation_seed)
    return "\n".join([*map(table_text, tables), f"run folder: {folder}"])


def build_task(run: ResolvedRun) -> Task:
    """Build the task of a run around new encoders; weights follow from the seed.

    Raises:
        InputError: unknown features, backbones or weights.
    """
    torch.manual_seed(run.config.train.seed)
    task = run.task(build_encoders(replace(run.config.model, init=run.init), run.config.features), run.options)
    task.encoders.geometry = task.geometry(run.config.data)
    return task


def trained_task(run: ResolvedRun, folder: Path) -> Task:
    """The task of a run folder with the weights of its last checkpoint."""
    task = build_task(replace(run, init=""))
    checkpoint.restore(folder / checkpoint.LAST, task)
    return task


def fit_statistics(encoders: Encoders, config: RunConfig, manifest: Manifest, init: str = "") -> None:
    """Fit the feature statistics to the audio of a manifest.

    Args:
        encoders: get the statistics.
        config: how clips are read.
        manifest: clips.
        init: what the encoders started from: encoders bring their statistics, the file of AVSA's published checkpoint
            has none.

    Raises:
        InputError: a file is broken, or its audio has a number of channels that the features do not accept.
    """
    if not init or Path(init).suffix == SUFFIX:
        encoders.fit_features(waveforms(manifest, config, encoders))


def waveforms(manifest: Manifest, config: RunConfig, encoders: Encoders) -> Iterator[Tensor]:
    """Waveforms `(channels, samples)` of up to 96 clips spread over a manifest; always the same clips."""
    accepted = encoders.features.accepted
    rows = manifest.rows[:: -(-len(manifest) // CLIPS_FOR_STATISTICS)]
    read = _ClipAudio(manifest.root, config.data, encoders.sample_rate)
    for row, batch in zip(rows, in_order(read, rows, config.data.workers), strict=True):
        audio = batch["audio"]
        if len(audio) not in accepted:
            wanted = f"{encoders.features.name} starts from {' or '.join(map(str, accepted))} channels of sound"
            raise InputError(f"{manifest.root / row.audio}: {wanted}, this has {len(audio)}")
        yield audio


@dataclass(frozen=True)
class _ClipAudio:
    """Reads the audio in the middle of a clip, in a loader process."""

    root: Path
    data: DataConfig
    sample_rate: int

    def __call__(self, row: Row) -> Batch:
        return {"audio": read_clip(row, self.root, self.data, self.sample_rate).audio}


def save_encoders(encoders: Encoders, config: RunConfig, folder: Path, metrics: dict[str, float]) -> None:
    """Save the encoders: config, training record, weights."""
    data = config.data
    training = {
        "task": config.task,
        "options": config.options,
        "steps": int(metrics["steps"]),
        "clips a step": data.batch,
        "data": data.manifest or _scenes(data),
        "optimiser": asdict(config.optim),
        "seed": config.train.seed,
        "loss": round(metrics["loss"], 4),
    }
    encoders.save(folder / run_folder.ENCODERS, training=training)


def _scenes(data: DataConfig) -> str:
    """Name, options and size of the synthetic dataset."""
    options = "".join(f" {name}={value}" for name, value in data.synthetic_options.items())
    return f"{data.synthetic_dataset}{options}, {data.clips} scenes of {data.clip_seconds:g} s"


def save_task(task: Task, folder: Path) -> None:
    """Save the task's own weights, such as projection heads; writes no file if it has none."""
    own = {name: each for name, each in task.state_dict().items() if not name.startswith("encoders.")}
    if own:
        with durably_replacing(folder / run_folder.TASK) as part:
            save_file({name: each.cpu().contiguous() for name, each in own.items()}, part)
