"""Table of an evaluation: a row for the generator, each baseline and each oracle; energy explained first."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from avssl_downstream.spatialize.metrics import ENERGY, ERROR, EXPLAINED

ROWS = {
    "test": "generator",
    "calibrated": "generator, calibrated",
    "silence": "silence",
    "parametric": "first order sharpened by its own directions",
    "prior": "prior",
    "heat_map": "heat map of a dense task, without training",
    "mono": "mono",
    "ahead": "straight ahead",
    "level_matched": "mono at the true levels",
    "audio_only": "audio only (trained without frames)",
    "flipped": "flipped frames",
    "black": "black frames",
    "deaf": "deaf (masks of another clip)",
    "chance": "chance",
    "places": "oracle: places (own masks)",
    "masks": "oracle: masks (own places)",
    "observer": "ideal observer of kinds",
    "seen": "oracle: seen (perfect eye)",
    "oracle": "oracle: ideal masks of the generator's kind",
    "best_real": "oracle: best real masks",
    "best_complex": "oracle: best complex masks",
    "filtered": "filtered clips: generator",
    "filtered_mono": "filtered clips: mono",
    "filtered_oracle": "filtered clips: ideal masks",
}
"""Row -> its label."""
PLAIN = "first order, plainly decoded (silence)"
"""Label of `silence` in evaluations of second order, which have the row `parametric`."""
COLUMNS = {
    "explained": "energy explained %",
    "direction_error": "direction error °",
    "level_error_db": "level error dB",
    "time_error_us": "time error us",
    "stft": "STFT",
    "env": "ENV",
    "emd_degrees": "EMD °",
    "lsd": "LSD dB",
    "snr": "SNR dB",
}
"""Metric -> its heading; the first has its 95 % interval over recordings."""

GROUPS = {
    "P1": "P1: one source",
    "P2": "P2: different kinds",
    "P3": "P3: one kind",
    "P4": "P4: background, ambience, a silent object",
    "P5": "P5: camera angles",
    "trained_types": "types of the training clips",
    "one_source": "one source",
    "two_sources": "two sources",
    "three_sources": "three sources",
    "at_most_two_sources": "at most two sources",
    "behind": "a source behind the viewer throughout",
    "front": "no source behind the viewer",
}
"""Group of scenes -> its label; see `scene_groups`."""
GROUP_COLUMNS = {"test": "generator %", "audio_only": "audio only %", "prior": "prior %", "heat_map": "heat map %",
                 "flipped": "flipped %", "observer": "observer %", "seen": "seen %"}  # fmt: skip
"""Row of an evaluation -> heading of its energy explained in the table of groups."""


def evaluation_table(metrics: Mapping[str, float], absent: Mapping[str, str]) -> str:
    """Markdown table of the rows and columns that there are, and below it the rows that there are not.

    Args:
        metrics: as from `Evaluation.run`.
        absent: row -> reason why it is absent.
    """
    columns = [name for name in COLUMNS if f"test_{name}" in metrics]
    rows = [name for name in ROWS if any(f"{name}_{column}" in metrics for column in columns)]
    lines = [["", *(COLUMNS[name] for name in columns)]]
    labels = ROWS | ({"silence": PLAIN} if "parametric" in rows else {})
    lines += [[labels[name], *(_cell(metrics, name, column) for column in columns)] for name in rows]
    found = [*_aligned(lines), ""]
    found += ["Energy explained: 1 - error / error of silence, over all clips [95 % interval over recordings].", ""]
    if "filtered_share" in metrics:
        found += [
            f"Filtered clips: the {_percent(metrics['filtered_share'])} % whose left and right differ by at least "
            f"{metrics['filtered_db']:g} dB.",
            "",
        ]
    found += _group_table(metrics)
    found += [f"- no row *{ROWS[name]}*: {reason}" for name, reason in absent.items() if name in ROWS]
    return "\n".join(found).rstrip() + "\n"


def _group_table(metrics: Mapping[str, float]) -> list[str]:
    """Lines of the table of groups of scenes, and its explanation; none without groups."""
    groups = [name for name in GROUPS if f"test_{name}_explained" in metrics]
    if not groups:
        return []
    columns = [name for name in GROUP_COLUMNS if any(f"{name}_{each}_explained" in metrics for each in groups)]
    lines = [["scenes", "clips", *(GROUP_COLUMNS[name] for name in columns), "direction error °"]]
    for group in groups:
        cells = [_cell(metrics, f"{name}_{group}", "explained") for name in columns]
        direction = _cell(metrics, f"test_{group}", "direction_error")
        lines.append([GROUPS[group], f"{metrics[f'{group}_clips']:.0f}", *cells, direction])
    return [*_aligned(lines), "", "Energy explained by groups of scenes; the direction error is the generator's.", ""]


def by_clip_csv(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Metrics of every row and clip; empty where one is not defined. Energy explained is that of the clip.

    Args:
        rows: row -> key of a clip -> its metrics.
    """
    names = sorted({name for clips in rows.values() for metrics in clips.values() for name in metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "clip", EXPLAINED, *names])
    for row, clips in rows.items():
        for clip, metrics in clips.items():
            explained = 1 - metrics[ERROR] / metrics[ENERGY] if metrics[ENERGY] > 0 else math.nan
            values = [explained, *(metrics.get(name, math.nan) for name in names)]
            writer.writerow([row, clip, *("" if math.isnan(value) else value for value in values)])
    return text.getvalue()


def _cell(metrics: Mapping[str, float], row: str, column: str) -> str:
    value = metrics.get(f"{row}_{column}")
    if value is None:
        return "-"
    if column != "explained":
        return f"{value:.3g}"
    low, high = (metrics.get(f"{row}_{column}_{end}", value) for end in ("low", "high"))
    return f"{_percent(value)} [{_percent(low)}, {_percent(high)}]"


def _percent(value: float) -> str:
    return f"{round(100 * value, 1) or 0.0:.1f}"


def _aligned(lines: list[list[str]]) -> list[str]:
    """Rows of a Markdown table with columns of one width, numbers to the right."""
    widths = [max(len(each) for each in column) for column in zip(*lines, strict=True)]
    texts = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [f"| {' | '.join(each)} |" for each in (texts[0], rule, *texts[1:])]
