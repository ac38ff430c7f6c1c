"""A run as a report sees it, read leniently: folders of other versions have other keys."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avssl.config import RunConfig
from avssl.errors import InputError
from avssl.report.column import is_share
from avssl.runs.reader import CONFIG, METRICS, flat, read_config, read_metrics

SEEDS = ("train.seed", "probe.seed")
WITHOUT_EFFECT = (
    "data.workers", "probe.workers", "train.log_every", "train.save_every", "train.show_every", "audio_only",
    "calibrate",
)  # fmt: skip
"""Settings that change no number of a run itself."""
PUBLISHED = "published."
START = "model.init"
ROUNDING = 1e-6
"""A mean of single precision may be that much over 1."""


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    title: str
    """As its config has it; may be empty."""
    task: str
    features: str
    seed: int
    steps: int
    """How long it was asked to train."""
    settings: dict[str, Any]
    """Settings that distinguish it from runs of other rows, as `a.b` -> value."""
    metrics: dict[str, float]
    published: dict[str, float]
    """Metric -> the paper's number for its row."""

    @property
    def label(self) -> str:
        """Its title, or task and features."""
        return self.title or f"{self.task} {self.features}"

    @property
    def identity(self) -> str:
        """The same for runs that differ in nothing but the seed."""
        return json.dumps([self.title, self.settings], sort_keys=True, default=str)


def is_run(folder: Path) -> bool:
    """Whether a folder says that it is one of a run, finished or not."""
    return (folder / CONFIG).is_file()


def read_run(folder: Path, ignored: Collection[str] = ()) -> Run:
    """Read one run folder, finished or not. Keys that are missing have today's defaults, unknown ones are kept.

    Raises:
        InputError: config or metrics are broken.
    """
    settings = all_settings(folder)
    title, task, features = (" ".join(str(settings[key] or "").split()) for key in ("title", "task", "features.name"))
    without = ("title", *SEEDS, *WITHOUT_EFFECT, *ignored)
    kept = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value  # 75.0 is 75
        for key, value in settings.items()
        if key not in without and not key.startswith(PUBLISHED)
    }
    if kept.get(START):
        kept[START] = _start(Path(str(kept[START])))
    metrics, published = read_metrics(folder), _published(folder, settings)
    _check_shares(f"{folder / METRICS}: ", metrics)
    return Run(folder, title, task, features, settings["train.seed"], settings["train.steps"], kept, metrics, published)


def all_settings(folder: Path) -> dict[str, Any]:
    """All settings as `a.b`, those that the config does not name with today's defaults.

    Raises:
        InputError: the config is broken.
    """
    path, given, defaults = folder / CONFIG, read_config(folder), asdict(RunConfig())
    if not given.get("task"):
        raise InputError(f"{path}: expected the config of a run, it names no task")
    for key, value in given.items():
        if isinstance(defaults.get(key), dict) and not isinstance(value, dict):
            raise InputError(f"{path}: {key} is a mapping of names to values, not {value!r}")
    settings = {**flat(defaults), **flat(given)}
    for key in ("train.seed", "train.steps"):
        if not isinstance(settings[key], int) or isinstance(settings[key], bool):
            raise InputError(f"{path}: {key} is a whole number, not {settings[key]!r}")
    return settings


def _published(folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    found = {key.removeprefix(PUBLISHED): value for key, value in settings.items() if key.startswith(PUBLISHED)}
    for name, value in found.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise InputError(f"{folder / CONFIG}: {PUBLISHED}{name} is a number, not {value!r}")
    _check_shares(f"{folder / CONFIG}: {PUBLISHED}", found)
    return {name: float(value) for name, value in found.items()}


def _check_shares(where: str, numbers: dict[str, float]) -> None:
    for name, value in numbers.items():
        if is_share(name) and (value < 0 or value > 1 + ROUNDING):
            raise InputError(f"{where}{name} is {value:g}, expected a share from 0 to 1, such as 0.71")


def _start(folder: Path) -> str:
    """Where a run started from: encoders of two runs that differ in the seed are one and the same start."""
    folder = next((each for each in (folder, folder.parent) if is_run(each)), folder)
    try:
        # Its own start is a path like any other setting: two runs may name each other.
        run = read_run(folder, [START])
    except (InputError, OSError):
        return str(folder)
    return f"{run.label} ({hashlib.sha256(run.identity.encode()).hexdigest()[:6]})"
