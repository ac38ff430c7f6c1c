"""Ratios of a benchmark beside their aims, as a figure."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from avssl.bench.bench_report import BenchReport
from avssl.bench.timing import Timing
from avssl.io.atomic import replacing

REACHED, BEHIND, WITHOUT = "#0072B2", "#D55E00", "0.6"
"""Colours of rows that reach their aim, that do not, and that have none (Okabe and Ito 2008)."""
STYLE: dict[Any, Any] = {
    "font.size": 7, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "x",
    "axes.axisbelow": True, "grid.color": "0.9", "pdf.fonttype": 42, "text.parse_math": False,
}  # fmt: skip
DPI = 200
LINE = 100
"""Characters of a line of the facts about the machine."""


def draw_ratios(report: BenchReport, path: Path) -> None:
    """Write a figure of all rows with a peer: a bar for the ratio, a line for the aim, on a logarithmic axis.

    Args:
        report: measured rows.
        path: `.png`, `.pdf` or `.svg`.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        made = Figure(figsize=(7.0, 0.8 + 0.2 * len(report.timings)), layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots()
        _bars(axes, report.timings)
        axes.set_title(textwrap.fill(report.line(), LINE), fontsize=5, loc="right")
        with replacing(path) as part:
            made.savefig(part, dpi=DPI, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)


def _bars(axes: Any, timings: list[Timing]) -> None:
    colours = {True: REACHED, False: BEHIND, None: WITHOUT}
    places = range(len(timings))
    ratios, lows = [each.deciding_ratio for each in timings], [min(1.0, each.deciding_ratio) for each in timings]
    widths = [max(1.0, ratio) - low for ratio, low in zip(ratios, lows, strict=True)]  # from 1, either way
    axes.barh(places, widths, left=lows, color=[colours[each.reached] for each in timings], height=0.6)
    for place, each in zip(places, timings, strict=True):
        axes.text(max(1.0, each.deciding_ratio, each.aim), place, f" {each.deciding_ratio:.3g}", va="center")
        if each.aim:
            axes.plot([each.aim, each.aim], [place - 0.4, place + 0.4], color="black", linewidth=1.2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1.0, color="0.3", linewidth=0.8)
    axes.set_yticks(places, [f"{each.name} / {each.peer_name}" for each in timings])
    axes.invert_yaxis()
    axes.set_xlabel("time of the peer over time of avssl; black line: aim")
