"""Config of a pretraining run with its plug-ins' options resolved: checked once, before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.data.clip_options import CropOptions
from avssl.task import Task
from avssl.train import data_source

PROBE = "correspondence"
"""Head that evaluates the encoders at the end of a run."""
GUIDED = ("crop_guide", "guided_offset", "guided_min_fov", "guided_max_fov", "guided_separation")
OWN = ("crops", "min_separation", *GUIDED)
"""Crop options in which evaluation does not follow training: runs with and without objects are measured alike."""


@dataclass(frozen=True)
class ResolvedRun:
    """A run's config, its task's class and options, and those of the evaluation."""

    config: RunConfig
    recipe: str
    """Name or path of the recipe; empty: none."""
    task: type[Task]
    options: Any
    """An instance of `task.Options`."""
    probe: Any
    """Options of the correspondence head without its manifest; None: the run ends without it."""


def resolve_run(config: RunConfig, recipe: str = "") -> ResolvedRun:
    """Fill the options of a run's task and of its evaluation.

    Args:
        config: the run.
        recipe: named in errors.

    Raises:
        InputError: unknown task, unknown keys or values of its options or of `probe`, or a guide of crops without a
            detector.
    """
    task: type[Task] = plugins.load(plugins.TASKS, config.task)
    options: Any = fill(task.Options, config.options, where=f"{recipe or config.task}: options")
    data_source.check_detector(config.data, options)
    return ResolvedRun(config, recipe, task, options, _probe_options(config, options))


def _probe_options(config: RunConfig, options: Any) -> Any:
    """Windows and crops as in training, then the keys of `probe`; their number, distance and guide are the head's own.

    Options of a task that are not crops may mean something else by the same names.
    """
    if not config.probe.get("enabled", True):
        return None
    shared = {key: getattr(config.data, key) for key in ("detector", "seconds", "frames", "frame_rate", "workers")}
    shared |= {key: getattr(CropOptions(), key) for key in ("size", "min_fov", "max_fov")}
    if isinstance(options, CropOptions):
        crops = {each.name for each in fields(CropOptions)} - set(OWN)
        shared |= {key: value for key, value in config.options.items() if key in crops}
    own = {key: value for key, value in config.probe.items() if key != "enabled"}
    return fill(plugins.load(plugins.HEADS, PROBE).Options, shared, own, where="probe")
