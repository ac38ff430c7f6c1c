"""A table of a paper: the runs that it needs, and its rows from the finished ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from avssl.report.column import Column
from avssl.report.run_record import Run
from avssl.reproduce.head_runs import HeadRun
from avssl.reproduce.planned_run import PlannedRun

FLOOR = "floor"
"""Group of the rows that every other has to be above: chance, encoders without training, baselines without any."""
ENDS = ("", "_low", "_high")
"""Endings of a metric and of its interval."""


@dataclass(frozen=True)
class Source:
    """Where a number of a row comes from."""

    run: HeadRun
    metric: str = "accuracy"
    """Its name in the run's `metrics.json`."""


@dataclass(frozen=True)
class TableRow:
    """One seed of a row of a table."""

    title: str
    group: str
    """Pretext task, or `FLOOR`: rows of a group are compared with its first."""
    seed: int
    folder: Path
    """Of its encoders, or of its head."""
    sources: Mapping[str, Source | tuple[Source, ...]]
    """Column -> source, or several, whose mean it is."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Column -> published number."""

    def record(self) -> Run:
        """The row's numbers as a report takes them."""
        metrics: dict[str, float] = {}
        for column, sources in self.sources.items():
            metrics |= _mean(column, sources) if isinstance(sources, tuple) else _numbers(column, sources)
        return Run(self.folder, self.title, self.group, "", self.seed, 0, {}, metrics, dict(self.published))


def _numbers(column: str, source: Source) -> dict[str, float]:
    """A number with its interval; empty where the run has none."""
    found = source.run.metrics()
    pairs = ((f"{source.metric}{end}", f"{column}{end}") for end in ENDS)
    return {new: found[old] for old, new in pairs if old in found}


def _mean(column: str, sources: Sequence[Source]) -> dict[str, float]:
    """Mean of a number over several runs; empty where one has none."""
    found = [source.run.metrics().get(source.metric) for source in sources]
    values = [each for each in found if each is not None]
    return {column: fmean(values)} if len(values) == len(found) else {}


class PaperTable(ABC):
    """A table that `avssl reproduce` makes.

    A new one gives its runs, its columns and its rows; they are made, timed, continued and written in one place.
    """

    name: ClassVar[str]
    """Of the command, and of the folder of the finished table."""

    @property
    @abstractmethod
    def out(self) -> Path:
        """Folder of all runs and of the table."""

    @abstractmethod
    def check(self) -> None:
        """Check the data of all runs before anything is written.

        Raises:
            InputError: something is missing or cannot be used.
        """

    @abstractmethod
    def runs(self) -> Sequence[PlannedRun]:
        """Every run, each after those that it needs; a run may stand there more than once."""

    @abstractmethod
    def columns(self) -> Sequence[Column]:
        """The columns of the table, with chance, from finished runs."""

    @abstractmethod
    def rows(self) -> Iterator[TableRow]:
        """Every seed of every row but that of chance, in the order of the table, from finished runs."""

    def notes(self) -> Sequence[str]:
        """What a reader must know beside the table."""
        return ()

    def records(self) -> list[Run]:
        """All rows as a report takes them; chance is the first."""
        levels = {column.name: column.level for column in self.columns() if column.level is not None}
        chance = [Run(Path("chance"), "chance", FLOOR, "", 0, 0, {}, levels, {})] if levels else []
        return [*chance, *(row.record() for row in self.rows())]
