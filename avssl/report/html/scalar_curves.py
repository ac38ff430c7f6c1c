"""Curves of the scalars of runs over their steps: a figure for each group of scalars, all runs in it."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from avssl.report.html.axes import COLOURS, DASHES, Axes, legend, span
from avssl.report.html.elements import figure, missing, section
from avssl.report.html.remake import command_of
from avssl.report.run_record import Run

EVENTS = "events.out.tfevents.*"
SHOWN = 400
"""Points of a curve at most, evenly spaced."""
Curve = list[tuple[float, float]]
"""Steps and values."""


def scalar_curves(runs: Mapping[str, Run]) -> str:
    """Section with the curves of runs.

    Args:
        runs: by unique name.
    """
    found = {name: read_curves(run.folder) for name, run in runs.items()}
    without = [name for name, curves in found.items() if not curves]
    groups: dict[str, list[str]] = defaultdict(list)
    for scalar in dict.fromkeys(scalar for curves in found.values() for scalar in curves):
        groups[group_of(scalar)].append(scalar)
    figures = [_figure(title, scalars, found) for title, scalars in groups.items()]
    notes = [missing(f"No curves of {name}: its folder holds no events, which training writes:", command_of(runs[name]))
             for name in without]  # fmt: skip
    return section("Training", f'<div class="figures">{"".join(figures)}</div>', *notes)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Scalars of the events of a run: name -> steps and finite values; empty without events.

    A file that is cut short is read up to there, as TensorBoard does.
    """
    if not any(folder.glob(EVENTS)):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # 1 s to import

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    kinds = {"scalars": 0, "images": 1, "audio": 1, "histograms": 1, "tensors": 1}
    events = EventAccumulator(str(folder), size_guidance=kinds).Reload()  # type: ignore[no-untyped-call]
    return {name: _thinned([(each.step, each.value) for each in events.Scalars(name)]) for name in
            events.Tags()["scalars"]}  # fmt: skip


def group_of(scalar: str) -> str:
    """Group of scalars that are drawn together: of one prefix, losses, accuracies; others are groups of their own.

    Example:
        >>> group_of("spread/video"), group_of("cell_loss"), group_of("avsa_acc"), group_of("grad_norm")
        ('spread', 'loss', 'accuracy', 'grad_norm')
    """
    if "/" in scalar:
        return scalar.partition("/")[0]
    for ending, group in (("loss", "loss"), ("acc", "accuracy"), ("accuracy", "accuracy"), ("memory_mb", "memory, MB")):
        if scalar.endswith(ending):
            return group
    return scalar


def _thinned(curve: Curve) -> Curve:
    finite = [each for each in curve if math.isfinite(each[1])]
    step = max(1, math.ceil(len(finite) / SHOWN))
    return [*finite[::step], *finite[-1:]] if step > 1 else finite


def _figure(title: str, scalars: Sequence[str], found: Mapping[str, Mapping[str, Curve]]) -> str:
    curves = [
        (f"{name}: {scalar}" if len(scalars) > 1 else name, COLOURS[run % len(COLOURS)], DASHES[kind % len(DASHES)],
         found[name][scalar])
        for run, name in enumerate(found)
        for kind, scalar in enumerate(scalars)
        if found[name].get(scalar)
    ]  # fmt: skip
    points = [each for *_, curve in curves for each in curve]
    axes = Axes(span(each[0] for each in points), span(each[1] for each in points))
    lines = [_drawn(axes, curve, colour, dash, name) for name, colour, dash, curve in curves]
    picture = axes.svg("".join(lines), f"{title} over steps", "step", title)
    return figure(picture + legend([each[:3] for each in curves]), title)


def _drawn(axes: Axes, curve: Curve, colour: str, dash: str, name: str) -> str:
    if len(curve) == 1:
        return axes.point(*curve[0], colour, f"{name}: {curve[0][1]:.6g} at step {curve[0][0]:g}")
    return axes.line(curve, colour, dash, f"{name}: {curve[-1][1]:.6g} at step {curve[-1][0]:g}")
