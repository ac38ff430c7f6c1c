"""Tables at the end of a pretraining run: held-out numbers beside chance and ideal observers."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from avssl.evaluation.ideal_observer import OBSERVERS
from avssl.evaluation.localization_scores import CHANCE
from avssl.evaluation.reference_scores import LABELS, measured
from avssl.evaluation.retrieval import AUDIO_TO_VIDEO, VIDEO_TO_AUDIO

PREFIX = "test_"
GUIDED = "guided_"
"""Prefix of the correspondence head's metrics on crops guided by objects."""
SCORES = {"avc_bin": "AVC-Bin", "avsa_bin": "AVSA-Bin"}
COSINE = "_cosine"
HALF = 0.5
"""Chance of AVC-Bin and AVSA-Bin."""
CAPTION = f"{', '.join(OBSERVERS.values())}: ideal observers from the ground truth"
DIRECTIONS = {AUDIO_TO_VIDEO: "audio -> video", VIDEO_TO_AUDIO: "video -> audio"}
RETRIEVAL = {"r1": "R@1 %", "r5": "R@5 %", "r10": "R@10 %", "map_r": "MAP@R %", "median_rank": "median rank"}


def tables(metrics: dict[str, float], run: str, validation_seed: int | None = None) -> Iterator[Table]:
    """Tables of the metrics that a run has.

    Args:
        metrics: of the run.
        run: task and features, for the titles.
        validation_seed: seed of the dataset that evaluated it; None: the held-out clips of its own.
    """
    clips = "held-out clips" if validation_seed is None else f"clips of validation seed {validation_seed}"
    if any(name.startswith(PREFIX) for name in metrics):
        yield held_out_table(metrics, f"{run}, {clips}")
    if SCORES.keys() <= metrics.keys():
        yield accuracy_table(metrics, f"{run}, {clips}, frozen encoders")
    guided = {name.removeprefix(GUIDED): value for name, value in metrics.items() if name.startswith(GUIDED)}
    if SCORES.keys() <= guided.keys():
        yield accuracy_table(guided, f"{run}, {clips}, frozen encoders, crops guided by objects")
    if {f"{direction}_r1" for direction in DIRECTIONS} <= metrics.keys():
        yield retrieval_table(metrics, f"retrieval among windows of {clips}")


def held_out_table(metrics: dict[str, float], title: str) -> Table:
    """Table of the task's scalars on held-out clips, each beside chance and ideal observers where they are known.

    Args:
        metrics: `test_NAME`, and with the endings of `LABELS` what stands beside it.
        title: title of the table.
    """
    held_out = {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}
    rows = dict.fromkeys(map(measured, held_out))
    endings = [each for each in LABELS if any(name + each in held_out for name in rows)]
    caption = CAPTION if any(each in OBSERVERS for each in endings) else None
    labels = (LABELS[each] for each in endings)
    table = Table("", "this run", *labels, title=title, caption=caption, title_justify="left", caption_justify="left")
    for name in rows:
        values = (held_out.get(name + each) for each in ["", *endings])
        table.add_row(name, *("" if value is None else f"{value:.3g}" for value in values))
    return table


def accuracy_table(metrics: dict[str, float], title: str) -> Table:
    """Table of accuracies with their 95 % intervals, above those without a trained probe, chance and ideal observers.

    Args:
        metrics: `avc_bin`, `avsa_bin`, with `_low` and `_high`, and perhaps `_cosine` and observers, as fractions.
        title: title of the table.
    """
    shown = {name: label for name, label in SCORES.items() if name in metrics}
    table = Table("", *(f"{label} %" for label in shown.values()), title=title, title_justify="left")
    chance = {name + CHANCE: HALF for name in shown}
    lines = {"": "probe", COSINE: "threshold on the cosine", CHANCE: "chance"}
    lines |= {ending: f"ideal observer: {label}" for ending, label in OBSERVERS.items()}
    for ending, label in lines.items():
        if any(name + ending in metrics | chance for name in shown):
            table.add_row(label, *(_with_interval(metrics | chance, name + ending) for name in shown))
    return table


def retrieval_table(metrics: dict[str, float], title: str) -> Table:
    """Table of cross-modal retrieval, both directions, each above chance and ideal observers where they are known.

    Args:
        metrics: `audio_to_video_r1` and so on, and with the endings of `LABELS` what stands beside it; fractions, and
            ranks.
        title: title of the table.
    """
    shown = {
        name: label for name, label in RETRIEVAL.items() if all(f"{each}_{name}" in metrics for each in DIRECTIONS)
    }
    table = Table("", *shown.values(), title=title, title_justify="left")
    lines = {CHANCE: "chance"} | {ending: f"ideal observer: {label}" for ending, label in OBSERVERS.items()}
    for direction, label in DIRECTIONS.items():
        for ending, line in {"": label, **lines}.items():
            names = [f"{direction}_{name}{ending}" for name in shown]
            if any(name in metrics for name in names):
                table.add_row(line, *(_value(metrics, name) for name in names))
        table.add_section()
    return table


def _with_interval(metrics: dict[str, float], name: str) -> str:
    """Such as `87.5 [84.4, 90.6]`."""
    low, high = _percent(metrics, f"{name}_low"), _percent(metrics, f"{name}_high")
    return _percent(metrics, name) + (f" [{low}, {high}]" if low else "")


def _percent(metrics: dict[str, float], name: str) -> str:
    return f"{100 * metrics[name]:.1f}" if name in metrics else ""


def _value(metrics: dict[str, float], name: str) -> str:
    """A rank, or a fraction in per cent; empty if it is not known."""
    return f"{metrics[name]:.4g}" if "rank" in name and name in metrics else _percent(metrics, name)
