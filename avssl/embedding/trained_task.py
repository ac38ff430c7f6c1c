"""Pretext task of a finished run with its weights, from the encoders and the task's own weights."""

from __future__ import annotations

from pathlib import Path

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.errors import InputError
from avssl.evaluation.dense_localization import DenseTask
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.encoders import Encoders
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
