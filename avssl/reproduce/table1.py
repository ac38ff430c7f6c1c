"""Wang et al. 2023, Table 1: action recognition from frozen and from fine-tuned video towers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from avssl.datasets.layout import load_layout
from avssl.report.column import Column
from avssl.reproduce.encoder_runs import tower_passes
from avssl.reproduce.grid import Grid
from avssl.reproduce.head_runs import HeadRun, head_options
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.paper_table import FLOOR, PaperTable, Source, TableRow
from avssl.reproduce.planned_run import PlannedRun
from avssl.reproduce.published_numbers import TABLE1, WITHOUT_EFFECT, is_published_pretraining, is_whole_action_set
from avssl.synth.actions.actions_dataset import ActionVideoOptions

HEAD = "action"
BUILT_IN = "actions"
"""Key of the synthetic actions."""
TITLES = {"ucf101": "UCF101", "hmdb51": "HMDB51", BUILT_IN: "synthetic actions"}
PROTOCOLS = ("frozen", "fine-tuned")
RECIPES = {
    "small": {"frozen": "action/small-frozen", "fine-tuned": "action/small"},
    "full": {"frozen": "action/frozen", "fine-tuned": "action/full"},
}
CLIPS_HMDB51 = 10
"""Clips of a training video of HMDB51 in the recipes `full`, which has fewer videos."""
TESTED = 7 / 25
"""Share of UCF101's groups in the test part of a split."""


@dataclass(frozen=True)
class Table1(PaperTable):
    """Six rows of two pretext tasks, each frozen and fine-tuned, on each data set."""

    name: ClassVar[str] = "table1"
    grid: Grid
    roots: Mapping[str, Path] = field(default_factory=dict)
    """ucf101, hmdb51 -> the user's folder; empty: the synthetic actions."""

    @property
    def out(self) -> Path:
        """Folder of all runs and of the table."""
        return self.grid.out

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Keys of the data sets."""
        return tuple(self.roots) or (BUILT_IN,)

    def check(self) -> None:
        """See `PaperTable.check`."""
        self.grid.check()
        self._videos()

    def runs(self) -> list[PlannedRun]:
        """Seed by seed: the untrained encoders, then each row, each followed by its heads."""
        found: list[PlannedRun] = []
        videos = self._videos()
        for seed in self.grid.seeds:
            untrained = self._untrained(seed)
            found += [untrained, *self._heads("untrained", untrained, seed, videos)]
            for task, row in self.grid.cells():
                start, encoders = self.grid.first_stage(task, row, seed), self.grid.pretraining(task, row, seed)
                found += [*([start] if start else []), encoders]
                found += self._heads(f"{task}-{row}", encoders, seed, videos)
        return found

    def columns(self) -> list[Column]:
        """A column for each data set and protocol."""
        return [
            Column(_column(data_set, protocol), f"{finished.data_set()}, {protocol}", 1 / finished.metrics()["classes"])
            for data_set, finished in zip(self.data_sets, map(self._floor, self.data_sets), strict=True)
            for protocol in PROTOCOLS
        ]

    def rows(self) -> Iterator[TableRow]:
        """Untrained encoders, then the rows of each task, with their seeds."""
        for seed in self.grid.seeds:
            untrained = self._untrained(seed)
            sources = self._sources("untrained", untrained, seed)
            yield TableRow("untrained encoders", FLOOR, seed, untrained.folder, sources)
        for task, row in self.grid.cells():
            for seed in self.grid.seeds:
                encoders = self.grid.pretraining(task, row, seed)
                sources = self._sources(f"{task}-{row}", encoders, seed)
                published = self._published(task, row, sources)
                yield TableRow(encoders.config.title, task, seed, encoders.folder, sources, published)

    def notes(self) -> list[str]:
        """The data, and what the rows have in common."""
        clips = self.grid.manifest or "a synthetic dataset"
        return [f"Recipes {self.grid.size}; encoders pretrained on {clips}. Only the video tower is evaluated."]

    def _untrained(self, seed: int) -> PlannedRun:
        return self.grid.untrained(self.grid.rows[0], seed)

    def _heads(
        self, name: str, encoders: PlannedRun, seed: int, videos: Mapping[str, tuple[int, int]]
    ) -> list[PlannedRun]:
        heads = [self._head(name, encoders, seed, data_set, each) for data_set in self.data_sets for each in PROTOCOLS]
        config = self.grid.untrained(self.grid.rows[0], seed).config
        return [
            replace(head, network_passes=_passes(head.options, config, *videos[data_set]))
            for head, data_set in zip(heads, [each for each in self.data_sets for _ in PROTOCOLS], strict=True)
        ]

    def _head(self, name: str, encoders: PlannedRun, seed: int, data_set: str, protocol: str) -> HeadRun:
        layers: list[dict[str, Any]] = []
        if data_set in self.roots:
            layers.append({"root": str(self.roots[data_set]), "layout": data_set})
        if data_set == "hmdb51" and self.grid.size == "full":
            layers.append({"train_clips": CLIPS_HMDB51})
        recipe = RECIPES[self.grid.size][protocol]
        options = head_options(HEAD, recipe, *layers, self.grid.layer(HEAD))
        options = replace(options, seed=seed, title=f"{name}, {TITLES[data_set]}, {protocol}")
        folder = self.out / HEAD / f"{name}-{protocol}-{data_set}-seed{seed}"
        return HeadRun(folder, f"{HEAD} {protocol} on {TITLES[data_set]}", HEAD, options, encoders)

    def _sources(self, name: str, encoders: PlannedRun, seed: int) -> dict[str, Source]:
        return {
            _column(data_set, protocol): Source(self._head(name, encoders, seed, data_set, protocol))
            for data_set in self.data_sets
            for protocol in PROTOCOLS
        }

    def _published(self, task: str, row: str, sources: Mapping[str, Source]) -> dict[str, float]:
        """The paper's numbers of a row, for the columns of which method and data are the published ones."""
        if task != "avsa" or self.grid.changed(HEAD) - WITHOUT_EFFECT or not is_published_pretraining(self.grid):
            return {}
        return {
            _column(data_set, protocol): number
            for data_set in self.roots
            for protocol, number in zip(PROTOCOLS, TABLE1[row][data_set], strict=True)
            if is_whole_action_set(sources[_column(data_set, protocol)].run, data_set)
        }

    def _floor(self, data_set: str) -> HeadRun:
        """A finished run on a data set."""
        seed = self.grid.seeds[0]
        return self._head("untrained", self._untrained(seed), seed, data_set, PROTOCOLS[0])

    def _videos(self) -> dict[str, tuple[int, int]]:
        """Data set -> videos to train on and to test.

        Raises:
            InputError: the data set's lists cannot be read, or videos are missing.
        """
        options = head_options(HEAD, RECIPES[self.grid.size]["frozen"], self.grid.layer(HEAD))
        if not self.roots:
            videos = options.groups * ActionVideoOptions.classes * ActionVideoOptions.clips
            return {BUILT_IN: (round((1 - TESTED) * videos), round(TESTED * videos))}
        found = {}
        for name, root in self.roots.items():
            layout = load_layout(name)
            fold = layout(layout.Options(missing=options.missing)).read(root).folds[0]
            found[name] = len(fold.train), len(fold.test)
        return found


def _column(data_set: str, protocol: str) -> str:
    return f"accuracy_{data_set}_{protocol.replace('-', '_')}"


def _passes(options: Any, config: Any, train: int, test: int) -> tuple[Passes, ...]:
    """Windows through the video tower: clips of training videos, as often as there are epochs, and of test videos."""
    tuned = options.mode == "finetune"
    clips = train * (options.train_clips or 5) * (options.epochs if tuned else 1)
    frames, size = options.frames or config.data.frames, options.size or 112
    each = replace(tower_passes(config, "video", 1.0), window=(frames, size), precision=options.precision)
    tested = replace(each, count=float(test * options.test_clips))
    return replace(each, count=float(clips), trained=tuned), tested
