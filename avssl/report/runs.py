"""The runs of a report, read leniently: folders of other versions have other keys."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avssl.config import RunConfig
from avssl.plugins import hint
from avssl.report.column import is_share
from avssl.train.outcome import CONFIG, METRICS, flat, read_config, read_metrics

SEEDS = ("train.seed", "probe.seed")
WITHOUT_EFFECT = ("data.workers", "probe.workers", "train.log_every", "train.save_every", "train.show_every")
"""Settings that change no number."""
PUBLISHED = "published."
START = "model.weights"


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
    """What tells it from runs of another row, as `a.b` -> value."""
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
        return json.dumps([self.title, {key: _plain(value) for key, value in self.settings.items()}], sort_keys=True)


def read_runs(folders: Sequence[Path], ignored: Collection[str] = ()) -> tuple[list[Run], list[str]]:
    """Read run folders; one given twice is read once.

    Args:
        folders: with `config.yaml` and `metrics.json`, which are all that is read.
        ignored: settings in which the runs of a row may differ, beside the seed.

    Returns:
        The finished runs, and a line for each folder that is left out.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a file in it is broken, or no run is left.
    """
    found, left_out = [], []
    distinct = list({each.resolve(): each for each in reversed(folders)}.values())[::-1]
    _check_settings(distinct, ignored)
    for folder in distinct:
        if not folder.exists():
            raise FileNotFoundError(f"{folder}: expected a run folder, there is nothing of this name")
        reason = _no_run(folder)
        run = None if reason else read_run(folder, ignored)
        reason = reason or _unfinished(run)
        if run and not reason:
            found.append(run)
        else:
            left_out.append(f"{folder}: {reason}, left out")
    if not found:
        raise ValueError(f"no finished run to report: {'; '.join(left_out)}")
    return found, left_out


def read_run(folder: Path, ignored: Collection[str] = ()) -> Run:
    """Read one run folder, finished or not. Keys that are missing have today's defaults, unknown ones are kept.

    Raises:
        ValueError: config or metrics are broken.
    """
    settings = _settings(folder)
    title, task, features = (str(settings[key]) for key in ("title", "task", "features.name"))
    without = ("title", *SEEDS, *WITHOUT_EFFECT, *ignored)
    kept = {key: value for key, value in settings.items() if key not in without and not key.startswith(PUBLISHED)}
    if kept.get(START):
        kept[START] = _start(Path(str(kept[START])))
    metrics, published = read_metrics(folder), _published(folder, settings)
    _check_shares(f"{folder / METRICS}: ", metrics)
    return Run(folder, title, task, features, settings["train.seed"], settings["train.steps"], kept, metrics, published)


def _check_settings(folders: Iterable[Path], wanted: Iterable[str]) -> None:
    known = {key for folder in folders if not _no_run(folder) for key in _settings(folder)} if wanted else set()
    for key in wanted:
        if key not in known:
            raise ValueError(f"no run has the setting {key!r}{hint(key, known)}, in which rows may differ")


def _plain(value: Any) -> Any:
    """A setting so that equal ones are written alike: 75 is 75.0."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _settings(folder: Path) -> dict[str, Any]:
    path, given = folder / CONFIG, flat(read_config(folder))
    settings: dict[str, Any] = {**flat(asdict(RunConfig())), **given}
    if "task" not in given:
        raise ValueError(f"{path}: expected the config of a run, it names no task")
    for key in ("train.seed", "train.steps"):
        if not isinstance(settings[key], int) or isinstance(settings[key], bool):
            raise ValueError(f"{path}: {key} is a whole number, not {settings[key]!r}")
    if "published" in given:
        raise ValueError(f"{path}: published is a mapping of metrics to numbers, not {given['published']!r}")
    return settings


def _published(folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    found = {key.removeprefix(PUBLISHED): value for key, value in settings.items() if key.startswith(PUBLISHED)}
    for name, value in found.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{folder / CONFIG}: {PUBLISHED}{name} is a number, not {value!r}")
    _check_shares(f"{folder / CONFIG}: {PUBLISHED}", found)
    return {name: float(value) for name, value in found.items()}


def _check_shares(where: str, numbers: dict[str, float]) -> None:
    for name, value in numbers.items():
        if is_share(name) and (value < 0 or value > 1):
            raise ValueError(f"{where}{name} is {value:g}, expected a share from 0 to 1, such as 0.71")


def _start(folder: Path) -> str:
    """Where a run started from: encoders of two runs that differ in the seed are one and the same start."""
    folder = next((each for each in (folder, folder.parent) if (each / CONFIG).is_file()), folder)
    if not (folder / CONFIG).is_file():
        return str(folder)
    # Its own start is a path like any other setting: two runs may name each other.
    run = read_run(folder, [START])
    return f"{run.label} ({hashlib.sha256(run.identity.encode()).hexdigest()[:6]})"


def _no_run(folder: Path) -> str:
    if folder.is_dir() and (folder / CONFIG).is_file():
        return ""
    within = folder.is_dir() and any(folder.glob(f"*/{CONFIG}"))
    return f"no run folder (it holds some: give {folder}/*)" if within else f"no run folder (no {CONFIG})"


def _unfinished(run: Run | None) -> str:
    """Why the numbers of a run are not those of its whole length; empty if they are."""
    if run is None or not run.metrics:
        return f"unfinished (no numbers in {METRICS})"
    steps = run.metrics.get("steps", run.steps)
    if steps < run.steps:
        return f"unfinished ({steps:g} of {run.steps} steps)"
    for name in ("probed_steps", "tested_steps"):
        if run.metrics.get(name, steps) != steps:
            return f"measured after {run.metrics[name]:g} of {steps:g} steps (run it once more)"
    return ""
