"""Table of an evaluation: a row for the generator, each baseline and each oracle; energy explained first."""

from __future__ import annotations

from collections.abc import Mapping

ROWS = {
    "test": "generator",
    "silence": "silence",
    "prior": "prior",
    "mono": "mono",
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
COLUMNS = {
    "explained": "energy explained %",
    "direction_error": "direction error °",
    "one_source_explained": "of one source %",
    "one_source_direction_error": "of one source °",
    "level_error_db": "level error dB",
    "time_error_us": "time error us",
    "stft": "STFT",
    "env": "ENV",
    "emd_degrees": "EMD °",
    "lsd": "LSD dB",
    "snr": "SNR dB",
}
"""Metric -> its heading; energy explained has its 95 % interval over recordings."""


def evaluation_table(metrics: Mapping[str, float], absent: Mapping[str, str]) -> str:
    """Markdown table of the rows and columns that there are, and below it the rows that there are not.

    Args:
        metrics: as from `Evaluation.run`.
        absent: row -> reason why it is absent.
    """
    columns = [name for name in COLUMNS if f"test_{name}" in metrics]
    rows = [name for name in ROWS if any(f"{name}_{column}" in metrics for column in columns)]
    lines = [["", *(COLUMNS[name] for name in columns)]]
    lines += [[ROWS[name], *(_cell(metrics, name, column) for column in columns)] for name in rows]
    found = [*_aligned(lines), ""]
    found += ["Energy explained: 1 - error / error of silence, over all clips [95 % interval over recordings].", ""]
    if "one_source_explained" in columns:
        found += [f"Of one source: the {metrics['tested_one_source_clips']:g} scenes in which one object sounds.", ""]
    if "filtered_share" in metrics:
        found += [
            f"Filtered clips: the {_percent(metrics['filtered_share'])} % whose left and right differ by at least "
            f"{metrics['filtered_db']:g} dB.",
            "",
        ]
    found += [f"- no row *{ROWS[name]}*: {reason}" for name, reason in absent.items() if name in ROWS]
    return "\n".join(found).rstrip() + "\n"


def _cell(metrics: Mapping[str, float], row: str, column: str) -> str:
    value = metrics.get(f"{row}_{column}")
    if value is None:
        return "-"
    if not column.endswith("explained"):
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
