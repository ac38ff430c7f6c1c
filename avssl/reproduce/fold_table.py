"""Table of a cross-validation over videos: rows beside chance, intervals over videos, paired differences."""

from __future__ import annotations

import csv
import io
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from avssl.evaluation.video_bootstrap import VideoInterval, video_interval
from avssl.io.atomic import write_text
from avssl.io.folder_lock import folder_lock
from avssl.printable_text import utf8_text
from avssl.report.table import aligned
from avssl.reproduce.fold_outcomes import Outcomes

logger = logging.getLogger(__name__)
STATISTICS = "statistics.csv"
"""File of every number of a table, with its interval."""
NONE = "-"


@dataclass(frozen=True)
class ScoreColumn:
    """One score."""

    metric: str
    title: str
    chance: float | str
    """Its chance level, or the metric that is its chance level, pair by pair."""
    statistic: str = "mean"
    """mean or median; differences are those of means only."""
    scale: float = 1.0
    """100 for per cent."""
    digits: int = 1

    def text(self, value: float, sign: str = "") -> str:
        """A number as it is shown."""
        rounded = round(self.scale * value, self.digits) or 0.0  # no negative zero
        return f"{rounded:{sign}.{self.digits}f}"

    def interval(self, found: VideoInterval, sign: str = "") -> str:
        """Such as `61.2 [55.0, 67.1]`."""
        low, high = self.text(found.low, sign), self.text(found.high, sign)
        return f"{self.text(found.value, sign)} [{low}, {high}]"


@dataclass(frozen=True)
class ScoredRow:
    """A row with its scores on all videos."""

    title: str
    outcomes: Mapping[str, Outcomes]
    compared: bool = True
    """Whether it is compared with the baseline."""


@dataclass(frozen=True)
class FoldTable:
    """Rows and columns of a table.

    Args:
        columns: those without a number in any row that is compared are left out.
        rows: in order.
        baseline: title of the row that others are compared with; empty: none.
        bootstrap: samples of the videos for each interval.
        seed: of the resampling.
    """

    columns: Sequence[ScoreColumn]
    rows: Sequence[ScoredRow]
    baseline: str = ""
    bootstrap: int = 2000
    seed: int = 0

    def write(self, folder: Path, notes: Iterable[str]) -> str:
        """Write the table with notes, every number and the scores by video; returns the table with notes."""
        text = utf8_text("\n".join([self.markdown(), *(f"- {note}" for note in notes)]) + "\n")
        with folder_lock(folder):
            write_text(folder / "report.md", text)
            write_text(folder / STATISTICS, utf8_text(self.statistics_csv()))
            write_text(folder / "by_video.csv", utf8_text(self.videos_csv()))
        logger.info("%s: table, statistics and scores by video", folder)
        return text

    def markdown(self) -> str:
        """The table, with a row of chance."""
        shown = [each for each in self.columns if any(each.metric in row.outcomes for row in self.rows if row.compared)]
        lines = [["row", *(each.title for each in shown)], ["chance", *map(self._chance, shown)]]
        base = next((row for row in self.rows if row.title == self.baseline), None)
        for row in self.rows:
            lines.append([row.title, *(self._number(row, each) for each in shown)])
            if base is not None and row.compared and row is not base:
                lines.append(["difference", *(self._difference(row, base, each) for each in shown)])
        return "\n".join(aligned(lines, 1)) + "\n"

    def statistics_csv(self) -> str:
        """Every number with its interval."""
        found = [
            [row.title, each.metric, each.statistic, *self._estimate(row, each), self._chance_level(each),
             len(set(row.outcomes[each.metric].videos)), len(row.outcomes[each.metric].values)]
            for row in self.rows for each in self.columns if each.metric in row.outcomes
        ]  # fmt: skip
        heading = ["row", "metric", "statistic", "value", "low", "high", "chance", "videos", "values"]
        return _csv([heading, *found])

    def videos_csv(self) -> str:
        """Mean of each score of each video."""
        found = [
            [row.title, metric, video, mean, count]
            for row in self.rows
            for metric, outcomes in row.outcomes.items()
            for video, (mean, count) in video_means(outcomes).items()
        ]
        return _csv([["row", "metric", "video", "mean", "values"], *found])

    def _number(self, row: ScoredRow, column: ScoreColumn) -> str:
        return column.interval(self._estimate(row, column)) if column.metric in row.outcomes else NONE

    def _estimate(self, row: ScoredRow, column: ScoreColumn) -> VideoInterval:
        found = row.outcomes[column.metric]
        return video_interval(found.values, found.videos, column.statistic, self.bootstrap, self.seed)

    def _difference(self, row: ScoredRow, base: ScoredRow, column: ScoreColumn) -> str:
        if column.statistic != "mean" or not all(column.metric in each.outcomes for each in (row, base)):
            return ""
        apart = paired_difference(row.outcomes[column.metric], base.outcomes[column.metric], self.bootstrap, self.seed)
        text = column.interval(apart, "+")
        return f"**{text}**" if apart.low > 0 or apart.high < 0 else text

    def _chance(self, column: ScoreColumn) -> str:
        level = self._chance_level(column)
        return NONE if level is None else column.text(level)

    def _chance_level(self, column: ScoreColumn) -> float | None:
        if isinstance(column.chance, float):
            return column.chance
        found = next((row.outcomes[column.chance] for row in self.rows if column.chance in row.outcomes), None)
        return None if found is None else fmean(mean for mean, _ in video_means(found).values())


def video_means(outcomes: Outcomes) -> dict[str, tuple[float, int]]:
    """Video -> mean of its values and their number, in the order of names."""
    values: dict[str, list[float]] = defaultdict(list)
    for video, value in zip(outcomes.videos, outcomes.values, strict=True):
        values[video].append(value)
    return {video: (fmean(values[video]), len(values[video])) for video in sorted(values)}


def paired_difference(ours: Outcomes, theirs: Outcomes, bootstrap: int = 2000, seed: int = 0) -> VideoInterval:
    """Difference of means over the videos that both have, each video with itself, and its interval over videos.

    Raises:
        InputError: they share no video.
    """
    here, there = video_means(ours), video_means(theirs)
    shared = [video for video in here if video in there]
    return video_interval([here[each][0] - there[each][0] for each in shared], shared, "mean", bootstrap, seed)


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
