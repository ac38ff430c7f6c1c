"""The correspondence head that ends a pretraining run: what have the encoders learned?"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.data.crops import CropOptions
from avssl.data.manifest import Manifest
from avssl.models.encoders import Encoders
from avssl.train import run_folder
from avssl.train.stop import interrupting

HEAD = "correspondence"
SCORES = {"avc_bin": "AVC-Bin", "avsa_bin": "AVSA-Bin"}
CHANCE = 50.0


def check(config: RunConfig) -> None:
    """See before anything is rendered or written that the head can be made.

    Raises:
        ValueError: it is not installed, or `probe` holds a key that it does not know.
    """
    if _wanted(config):
        _options(config, Path())


def run(config: RunConfig, folder: Path, path: Path, manifest: Manifest, console: Console) -> None:
    """Fit and evaluate the head on saved encoders, and add its numbers to the run's.

    Numbers that are there for this length of run are not computed again; without held-out clips there are none.

    Raises:
        SystemExit: with code 0 when SIGTERM or Ctrl-C came: what was trained is saved, measuring begins again.
    """
    if not _wanted(config):
        return
    if not _possible(config, manifest):
        console.print(f"{path}: no clips of splits 'train' and 'test', so AVC-Bin and AVSA-Bin are not measured")
        return
    if not done(config, folder):
        head = plugins.load(plugins.HEADS, HEAD)(Encoders.from_pretrained(folder), _options(config, path))
        try:
            with interrupting():
                found = head.fit(folder / HEAD)
        except KeyboardInterrupt:
            console.print(f"stopped; {folder} holds the encoders, the same command measures them")
            raise SystemExit(0) from None
        run_folder.add_metrics(folder, {**found, "probed_steps": run_folder.read_metrics(folder)["steps"]})


def done(config: RunConfig, folder: Path) -> bool:
    """Whether nothing is left to measure of the encoders in a run folder."""
    metrics = run_folder.read_metrics(folder)
    return not _wanted(config) or metrics.get("probed_steps", -1) == metrics.get("steps")


def table(metrics: dict[str, float], title: str) -> Table:
    """Accuracies with their 95 % intervals, chance beside them.

    Args:
        metrics: `avc_bin`, `avsa_bin`, with `_low` and `_high`, as shares.
        title: above the table.
    """
    made = Table("", "accuracy %", "95 % interval", "chance %", title=title, title_justify="left")
    for name, label in SCORES.items():
        if name in metrics:
            low, high = 100 * metrics[f"{name}_low"], 100 * metrics[f"{name}_high"]
            made.add_row(label, f"{100 * metrics[name]:.1f}", f"{low:.1f} to {high:.1f}", f"{CHANCE:.0f}")
    return made


def _possible(config: RunConfig, manifest: Manifest) -> bool:
    labels = {row.split for row in manifest}
    return _wanted(config) and {"train", "test"} <= labels


def _wanted(config: RunConfig) -> bool:
    return bool(config.probe.get("enabled", True))


def _options(config: RunConfig, path: Path) -> Any:
    """What `probe` says, else windows and crops as in training; their number, distance and guide are its own.

    So runs with and without objects are measured alike. A task whose options are not crops may mean something else by
    the same names.
    """
    kind = plugins.load(plugins.HEADS, HEAD).Options
    data = {key: getattr(config.data, key) for key in ("detector", "seconds", "frames", "frame_rate", "workers")}
    crops: set[str] = set()
    if issubclass(plugins.load(plugins.TASKS, config.task).Options, CropOptions):
        crops = {each.name for each in fields(CropOptions)} - {"crops", "least_angle", "guide"}
    defaults = {name: getattr(CropOptions(), name) for name in ("size", "narrowest", "widest")}
    chosen = {key: value for key, value in config.options.items() if key in crops}
    shared = {**defaults, **data, **chosen, "manifest": str(path)}
    return fill(kind, shared, {key: value for key, value in config.probe.items() if key != "enabled"}, where="probe")
