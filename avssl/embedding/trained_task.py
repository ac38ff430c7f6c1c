"""Pretext task of a finished run with its weights, from the encoders and the task's own weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.config import FeatureConfig, ModelConfig, RunConfig, fill
from avssl.errors import InputError
from avssl.evaluation.dense_localization import DenseTask
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry
from avssl.runs.reader import CONFIG, read_config
from avssl.runs.run_folder import TASK
from avssl.task import Task

NEEDED = "expected the run folder of a dense task; `avssl pretrain --task dense_avc` makes one"


def load_dense_task(run: Path) -> tuple[Task, DenseTask]:
    """Load the dense task of a pretraining run, in evaluation mode; nothing is unpickled.

    Args:
        run: run folder, with `config.yaml`, `encoders/` and `task.safetensors`.

    Returns:
        The task, twice: by its two types.

    Raises:
        InputError: no run folder of a dense task, or broken files.
    """
    if not ((run / CONFIG).is_file() and (run / TASK).is_file()):
        missing = f"has no {CONFIG if not (run / CONFIG).is_file() else TASK}"
        raise InputError(f"{run}: {NEEDED}, this {missing if run.is_dir() else 'is no folder'}")
    task = task_of_run(run, Encoders.from_pretrained(run))
    if not isinstance(task, DenseTask):
        raise InputError(f"{run}: {NEEDED}, this is a run of {read_config(run)['task']}")
    load_own_weights(task, run)
    return task.eval(), task


def task_of_run(run: Path, encoders: Encoders) -> Task:
    """Pretext task of a run around given encoders, with random weights of its own.

    Raises:
        InputError: no run folder, or a config that does not fit.
    """
    config = fill(RunConfig, read_config(run), where=str(run / CONFIG))
    kind: type[Task] = plugins.load(plugins.TASKS, config.task)
    return kind(encoders, fill(kind.Options, config.options, where=f"{run / CONFIG}: options"))


def load_own_weights(task: Task, run: Path) -> None:
    """Load the weights of a task beside those of its encoders; nothing is unpickled.

    Raises:
        InputError: no `task.safetensors`, or weights that do not fit.
    """
    own = {name: each for name, each in task.state_dict().items() if name.startswith("encoders.")}
    load_tensors(task, own | read_tensors(run / TASK), str(run / TASK))


def describe_task(run: Path, task: Task) -> dict[str, Any]:
    """Sections from which `build_task` makes the task of a run without its folder; they hold no path."""
    encoders = task.encoders
    return {
        "task": read_config(run)["task"],
        "options": asdict(task.options),
        "model": asdict(encoders.model_config),
        "features": asdict(encoders.feature_config),
        "geometry": asdict(encoders.geometry) if encoders.geometry else None,
    }


def build_task(description: Mapping[str, Any], where: str) -> Task:
    """Pretext task with random weights.

    Args:
        description: see `describe_task`.
        where: it was read, for messages.

    Raises:
        InputError: missing or broken sections, or no such task.
    """
    missing = [name for name in ("task", "options", "model", "features", "geometry") if name not in description]
    if missing:
        raise InputError(f"{where}: expected a section {missing[0]}, got none")
    geometry = description["geometry"]
    encoders = Encoders(
        fill(ModelConfig, description["model"], where=f"{where}: model"),
        fill(FeatureConfig, description["features"], where=f"{where}: features"),
        fill(InputGeometry, geometry, where=f"{where}: geometry") if geometry else None,
    )
    kind: type[Task] = plugins.load(plugins.TASKS, description["task"])
    return kind(encoders, fill(kind.Options, description["options"], where=f"{where}: options")).eval()
