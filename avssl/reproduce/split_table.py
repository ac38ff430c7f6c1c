"""Recipes of the head `spatialize` on every split of a data set, averaged, such as the five of FAIR-Play."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, ClassVar

from avssl.datasets.listed_splits import sets_in, split_by_lists
from avssl.datasets.manifest import read_manifest
from avssl.datasets.prepare_journal import ENTRIES
from avssl.errors import InputError
from avssl.io.jsonl_journal import read_journal
from avssl.report.column import Column, columns
from avssl.reproduce.head_runs import HeadRun, head_options
from avssl.reproduce.paper_table import PaperTable, Source, TableRow
from avssl.reproduce.published_numbers import WITHOUT_EFFECT
from avssl.runs.reader import flat

HEAD = "spatialize"
METRICS = ("test_explained", "test_stft", "test_env", "test_stft_below_mono", "test_env_below_mono")
"""Columns that are shown where no others are named."""
PUBLISHED_LAYOUT = "fair-play"
"""Layout of the data that the published numbers of recipes are for."""


@dataclass(frozen=True)
class SplitRun(HeadRun):
    """A generator trained and evaluated on one split."""

    @property
    def seed(self) -> int:
        """Of its training."""
        found: int = self.options.train.seed
        return found


@dataclass(frozen=True)
class SplitTable(PaperTable):
    """Recipes x splits x seeds; a number of a row is the mean over splits."""

    name: ClassVar[str] = "splits"
    folder: Path
    """Of all runs and of the table."""
    data: str
    """Manifest, or its folder."""
    lists: Path
    """Folder of the sets of lists."""
    recipes: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings of the user, which stand above the recipes."""
    metrics: tuple[str, ...] = ()
    """Columns; empty: those of `METRICS` that there are."""

    @property
    def out(self) -> Path:
        """Folder of all runs and of the table."""
        return self.folder

    @cached_property
    def splits(self) -> dict[str, Path]:
        """Name -> folder of its lists."""
        return {each.name or each.absolute().name: each for each in sets_in(self.lists)}

    def check(self) -> None:
        """See `PaperTable.check`."""
        manifest = read_manifest(self.data)
        for name, folder in self.splits.items():
            found = {row.split for row in split_by_lists(manifest, folder)}
            if lacking := {"train", "test"} - found:
                raise InputError(f"{folder}: expected clips in the list {min(lacking)} of {name}, got none")

    def runs(self) -> list[SplitRun]:
        """Every run, split by split."""
        return [
            self.run(recipe, split, seed) for seed in self.seeds for split in self.splits for recipe in self.recipes
        ]

    def run(self, recipe: str, split: str, seed: int) -> SplitRun:
        """A recipe on a split."""
        given = {"manifest": self.data, "lists": str(self.splits[split]), "train": {"seed": seed}}
        options = head_options(HEAD, recipe, given, dict(self.settings))
        name = recipe.removeprefix(f"{HEAD}/").replace("/", "-")
        return SplitRun(self.folder / HEAD / f"{name}-{split}-seed{seed}", recipe, HEAD, options, None)

    def columns(self) -> list[Column]:
        """See `PaperTable.columns`."""
        names = list(dict.fromkeys(name for run in self.runs() for name in run.metrics()))
        return list(columns(names, self.metrics or [name for name in METRICS if name in names]))

    def rows(self) -> Iterator[TableRow]:
        """Every seed of every recipe."""
        shown = [column.name for column in self.columns()]
        for recipe in self.recipes:
            for seed in self.seeds:
                runs = [self.run(recipe, split, seed) for split in self.splits]
                sources = {name: tuple(Source(run, name) for run in runs) for name in shown}
                title = runs[0].options.title or recipe
                yield TableRow(title, HEAD, seed, runs[0].folder, sources, self.published(recipe))

    def notes(self) -> list[str]:
        """Splits, and the spread of each row over them."""
        names = list(self.splits)
        intro = f"Numbers of a seed are means over {len(names)} splits: {', '.join(names)}."
        return [intro, *(self._spread(recipe, column) for recipe in self.recipes for column in self.columns()[:1])]

    def _spread(self, recipe: str, column: Column) -> str:
        """Mean, standard deviation and standard error over splits, as PseudoBinaural prints them."""
        found = [[self.run(recipe, split, seed).metrics() for seed in self.seeds] for split in self.splits]
        values = [fmean(each[column.name] for each in of_split) for of_split in found]
        deviation = stdev(values) if len(values) > 1 else 0.0
        spread = f"standard deviation {deviation:.3g}, standard error {deviation / len(values) ** 0.5:.3g}"
        return f"{recipe}, {column.name} by split: {', '.join(f'{each:.4g}' for each in values)}; {spread}."

    def published(self, recipe: str) -> dict[str, float]:
        """Published numbers of a recipe, where it ran unchanged on clips of FAIR-Play."""
        path = Path(self.data)
        settings, _ = read_journal((path if path.is_dir() else path.parent) / ENTRIES, dict)
        unchanged = not set(flat(self.settings)) - WITHOUT_EFFECT
        known = unchanged and settings is not None and settings.get("layout") == PUBLISHED_LAYOUT
        return dict(head_options(HEAD, recipe).published) if known else {}
