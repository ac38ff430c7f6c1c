"""Figure of shares with intervals, grouped by viewing: figure 6 of Morgado et al. 2018."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl.io.atomic import replacing
from avssl.study.shares import VIEWINGS, Share, StudyReport
from avssl.study.study_spec import PREFERENCE


def draw_shares(report: StudyReport, path: Path) -> None:
    """Bars of shares in percent, one group a viewing, with Wilson intervals; chance is a dashed line at one half.

    Args:
        report: the shares.
        path: the picture, png, pdf or svg.

    Raises:
        OutputError: it cannot be written.
    """
    figure = share_figure(report)
    FigureCanvasAgg(figure)
    with replacing(path) as part:
        figure.savefig(part, dpi=150)


def share_figure(report: StudyReport) -> Figure:
    """The figure; see `draw_shares`."""
    viewings = [each for each in VIEWINGS if any(share.viewing == each for share in report.shares)]
    if len(viewings) == 2:  # all answers are of one viewing
        viewings = viewings[1:]
    labels = list(dict.fromkeys(_label(share) for share in report.shares))
    figure = Figure(figsize=(1.8 + 0.75 * len(labels) * len(viewings), 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(labels)
    for number, label in enumerate(labels):
        shares = [_find(report, viewing, label) for viewing in viewings]
        places = [at + (number - (len(labels) - 1) / 2) * width for at, share in enumerate(shares) if share]
        there = [share for share in shares if share]
        heights = np.array([100 * share.share for share in there])
        errors = np.array([[100 * (share.share - share.low), 100 * (share.high - share.share)] for share in there]).T
        axes.bar(places, heights, 0.9 * width, yerr=errors, capsize=3, label=label)
    axes.axhline(50, color="grey", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(viewings)), [f"{viewing}\n{_answers(report, viewing)} answers" for viewing in viewings])
    axes.set_ylim(0, 100)
    axes.set_ylabel("preferred (%)" if report.question == PREFERENCE else "called real (%)")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _find(report: StudyReport, viewing: str, label: str) -> Share | None:
    return next((each for each in report.shares if each.viewing == viewing and _label(each) == label), None)


def _answers(report: StudyReport, viewing: str) -> int:
    return sum(each.answers for each in report.shares if each.viewing == viewing)


def _label(share: Share) -> str:
    return f"{share.condition} over {share.other}" if share.other else share.condition
