"""Tables of heads that classify segments of recordings: frozen encoders of several features and pretext tasks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from avssl.datasets.layout import Layout
from avssl.report.column import Column
from avssl.reproduce.encoder_runs import tower_passes
from avssl.reproduce.grid import Grid
from avssl.reproduce.head_runs import HeadRun, head_options
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.paper_table import FLOOR, PaperTable, Source, TableRow
from avssl.reproduce.planned_run import PlannedRun

BASELINES: dict[str, Any] = {"baselines": [], "ablate": ""}
"""Options of runs on encoders: further rows of the head are rows of the table."""


@dataclass(frozen=True)
class Protocol:
    """One way to evaluate encoders."""

    recipe: str
    """Of the head; empty: its defaults."""
    columns: Mapping[str, str]
    """Column of the table -> metric of the run."""


@dataclass(frozen=True)
class Baseline:
    """A row without encoders."""

    title: str
    columns: Mapping[str, tuple[HeadRun, str]]
    """Column of the table -> run, and its metric there."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Column -> published number, where method and data are the published ones."""


@dataclass(frozen=True)
class SegmentTable(PaperTable):
    """Rows of encoders, by every protocol, beside the same encoders untrained and baselines without encoders."""

    head: ClassVar[str]
    """Registered name of the head."""
    titles: ClassVar[Mapping[str, str]]
    """Column -> its heading."""
    built_in_seconds: ClassVar[float]
    """Length of all recordings of the synthetic dataset."""
    grid: Grid
    root: Path | None = None
    """The user's data set; None: the synthetic one in its layout."""

    @abstractmethod
    def protocols(self, task: str, row: str) -> Mapping[str, Protocol]:
        """Name -> protocol for the encoders of a row."""

    @abstractmethod
    def baselines(self, seed: int) -> Iterator[Baseline]:
        """Rows without encoders."""

    @abstractmethod
    def layout(self) -> Layout:
        """Layout that reads the user's data set."""

    @abstractmethod
    def passes(self, options: Any, row: str, seconds: float) -> tuple[Passes, ...]:
        """Windows through the towers, of recordings of so many seconds."""

    def published(self, task: str, row: str, sources: Mapping[str, Source]) -> dict[str, float]:
        """Column -> published number of a row, where method and data are the published ones."""
        return {}

    @property
    def out(self) -> Path:
        """Folder of all runs and of the table."""
        return self.grid.out

    def check(self) -> None:
        """See `PaperTable.check`."""
        self.grid.check()
        self._seconds()

    def runs(self) -> list[PlannedRun]:
        """Seed by seed: baselines, the untrained encoders of each row, then each row, each followed by its heads."""
        found: list[PlannedRun] = []
        seconds = self._seconds()
        for seed in self.grid.seeds:
            found += [run for each in self.baselines(seed) for run, _ in each.columns.values()]
            for row in self.grid.rows:
                found += self._with_heads(self.grid.untrained(row, seed), "untrained", row, seed, seconds)
            for task, row in self.grid.cells():
                start = self.grid.first_stage(task, row, seed)
                encoders = self.grid.pretraining(task, row, seed)
                found += [*([start] if start else []), *self._with_heads(encoders, task, row, seed, seconds)]
        return found

    def columns(self) -> list[Column]:
        """The columns, with chance."""
        level = 1 / self._finished().metrics()["classes"]
        return [Column(name, title, level) for name, title in self.titles.items()]

    def rows(self) -> Iterator[TableRow]:
        """Baselines and untrained encoders, then the rows of each task, with their seeds."""
        for seed in self.grid.seeds:
            for each in self.baselines(seed):
                sources = {column: Source(run, metric) for column, (run, metric) in each.columns.items()}
                folder = next(iter(sources.values())).run.folder
                yield TableRow(each.title, FLOOR, seed, folder, sources, each.published)
        for row in self.grid.rows:
            for seed in self.grid.seeds:
                encoders = self.grid.untrained(row, seed)
                title = f"untrained, {encoders.config.features.name}"
                yield TableRow(title, FLOOR, seed, encoders.folder, self._sources(encoders, "untrained", row, seed))
        for task, row in self.grid.cells():
            for seed in self.grid.seeds:
                trained = self.grid.pretraining(task, row, seed)
                sources = self._sources(trained, task, row, seed)
                published = self.published(task, row, sources)
                yield TableRow(trained.config.title, task, seed, trained.folder, sources, published)

    def notes(self) -> list[str]:
        """The data."""
        clips = self.grid.manifest or "a synthetic dataset"
        return [
            f"{self._finished().data_set()}; recipes {self.grid.size}, encoders pretrained on {clips}, frozen.",
        ]

    def head_run(
        self, name: str, protocol: str, recipe: str, encoders: PlannedRun | None, seed: int, **options: Any
    ) -> HeadRun:
        """A run of the head; `options` stand above the recipe and below the user's settings."""
        layers = [options, self.grid.layer(self.head)]
        layers += [{"root": str(self.root)}] if self.root else []
        found = head_options(self.head, recipe, *layers)
        found = replace(found, seed=seed, title=f"{name}, {protocol}", published={})
        folder = self.out / self.head / f"{name}-{protocol}-seed{seed}"
        return HeadRun(folder, f"{self.head}, {protocol}", self.head, found, encoders)

    def _with_heads(self, encoders: PlannedRun, task: str, row: str, seed: int, seconds: float) -> list[PlannedRun]:
        runs = {source.run.folder: source.run for source in self._sources(encoders, task, row, seed).values()}
        heads = [replace(run, network_passes=self.passes(run.options, row, seconds)) for run in runs.values()]
        return [encoders, *heads]

    def _sources(self, encoders: PlannedRun, task: str, row: str, seed: int) -> dict[str, Source]:
        found: dict[str, Source] = {}
        for name, protocol in self.protocols(task, row).items():
            run = self.head_run(f"{task}-{row}", name, protocol.recipe, encoders, seed, **BASELINES)
            found |= {column: Source(run, metric) for column, metric in protocol.columns.items()}
        return found

    def _finished(self) -> HeadRun:
        """A finished run on encoders."""
        row, seed = self.grid.rows[0], self.grid.seeds[0]
        sources = self._sources(self.grid.untrained(row, seed), "untrained", row, seed)
        return next(iter(sources.values())).run

    def _seconds(self) -> float:
        """Length of all recordings, s.

        Raises:
            InputError: the user's data set cannot be read, or files are missing.
        """
        if self.root is None:
            return self.built_in_seconds
        return sum(each.seconds for each in self.layout().read(self.root).recordings)


def audio_passes(grid: Grid, row: str, windows: float, precision: str) -> Passes:
    """Windows of a row's geometry through its audio tower, without gradients."""
    return replace(tower_passes(grid.untrained(row, 0).config, "audio", windows), precision=precision)
