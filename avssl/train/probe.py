"""The correspondence head that ends a pretraining run: what have the encoders learned?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from avssl import plugins
from avssl.datasets.manifest import Manifest
from avssl.evaluation.retrieval import CHANCE as CHANCE_ENDING
from avssl.models.encoders import Encoders
from avssl.runs import run_folder
from avssl.train.resolved_run import PROBE
from avssl.train.signals import interrupting

SCORES = {"avc_bin": "AVC-Bin", "avsa_bin": "AVSA-Bin"}
CHANCE = 50.0
DIRECTIONS = {"audio_to_video": "audio -> video", "video_to_audio": "video -> audio"}


def run(options: Any, folder: Path, path: Path, manifest: Manifest, console: Console) -> None:
    """Fit and evaluate the head on saved encoders, and add its numbers to the run's.

    Numbers that are there for this length of run are not computed again; without held-out clips there are none.

    Args:
        options: of the head, without its manifest; None: nothing is evaluated.
        folder: of the run.
        path: of the manifest.
        manifest: its clips.
        console: takes lines for a person.

    Raises:
        SystemExit: with code 0 when SIGTERM or Ctrl-C came: what was trained is saved, measuring begins again.
    """
    if done(options, folder):
        return
    if not {"train", "test"} <= {row.split for row in manifest}:
        console.print(f"{path}: no clips of splits 'train' and 'test', so AVC-Bin and AVSA-Bin are not measured")
        return
    options = replace(options, manifest=str(path))
    head = plugins.load(plugins.HEADS, PROBE)(Encoders.from_pretrained(folder), options)
    try:
        with interrupting():
            found = head.fit(folder / PROBE)
    except KeyboardInterrupt:
        console.print(f"stopped; {folder} holds the encoders, the same command measures them")
        raise SystemExit(0) from None
    run_folder.add_metrics(folder, {**found, "probed_steps": run_folder.read_metrics(folder)["steps"]})


def done(options: Any, folder: Path) -> bool:
    """Whether nothing is left to measure of the encoders in a run folder."""
    metrics = run_folder.read_metrics(folder)
    return options is None or metrics.get("probed_steps", -1) == metrics.get("steps")


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


def retrieval_table(metrics: dict[str, float], title: str) -> Table:
    """Cross-modal retrieval, a row a direction, each number with that of a random order in brackets.

    Args:
        metrics: `audio_to_video_r1` and so on with their `_chance`, as shares.
        title: above the table.
    """
    labels = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "map_r": "MAP@R %"}
    made = Table("", *(f"{label} (chance)" for label in labels.values()), title=title, title_justify="left")
    for direction, label in DIRECTIONS.items():
        names = [f"{direction}_{name}" for name in labels]
        cells = [f"{100 * metrics[name]:.1f} ({100 * metrics[name + CHANCE_ENDING]:.1f})" for name in names]
        made.add_row(label, *cells)
    return made
