"""Config of a pretraining run with its plug-ins' options resolved: checked once, before anything is rendered."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.data.clip_options import CropOptions
from avssl.task import Task
from avssl.train import data_source

PROBE = "correspondence"
"""Head that evaluates the encoders at the end of a run."""
FIRST_STAGE = "first_stage"
"""Folder of the stage before a run, in the folder of the run."""
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
    init: str
    """Encoders to start from; empty: random weights."""
    first_stage: ResolvedRun | None = None
    """Stage before this run, whose encoders it starts from; None: none."""

    def stages(self, folder: Path) -> list[tuple[ResolvedRun, Path]]:
        """Stages of a curriculum and their folders, this run last; each starts from the encoders of the one before.

        Args:
            folder: of this run.
        """
        if self.first_stage is None:
            return [(self, folder)]
        before = folder / FIRST_STAGE
        return [*self.first_stage.stages(before), (replace(self, init=str(before)), folder)]


def resolve_run(config: RunConfig, recipe: str = "") -> ResolvedRun:
    """Fill the options of a run's task and of its evaluation.

    Args:
        config: the run.
        recipe: named in errors.

    Raises:
        InputError: unknown task, unknown keys or values of its options, of `probe` or of `first_stage`, or a guide of
            crops without a detector.
    """
    task: type[Task] = plugins.load(plugins.TASKS, config.task)
    options: Any = fill(task.Options, config.options, where=f"{recipe or config.task}: options")
    data_source.check_detector(config.data, options)
    probe, init = _probe_options(config, options), config.model.init
    before = resolve_run(_first_stage(config, recipe), recipe) if config.first_stage else None
    return ResolvedRun(config, recipe, task, options, probe, init, before)


def _first_stage(config: RunConfig, recipe: str) -> RunConfig:
    """Config of the stage before a run: its keys over those of the run.

    A stage of another task has the options that both tasks have, and not the rates of parts of the run's task. Title,
    published numbers and probe are the run's own; a stage ends with a probe only if its keys say so.
    """
    where, keys = f"{recipe or config.task}: first_stage", config.first_stage
    task = str(keys.get("task", config.task))
    shared: dict[str, Any] = {**asdict(config), "first_stage": {}, "title": "", "published": {}}
    shared["probe"] = {**config.probe, "enabled": False}
    if task != config.task:
        known = {each.name for each in fields(plugins.load_options(plugins.TASKS, task))}
        shared["options"] = {key: value for key, value in config.options.items() if key in known}
        shared["optim"] |= {"lr_multipliers": {}, "warmups": {}, "frozen_steps": {}}
    return fill(RunConfig, shared, keys, where=where)


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
