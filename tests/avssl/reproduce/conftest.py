"""A table of runs that only write down that they were made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from avssl.report.column import Column
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.paper_table import FLOOR, PaperTable, Source, TableRow
from avssl.reproduce.planned_run import PlannedRun
from avssl.reproduce.run_note import noted, read_note
from avssl.runs.run_folder import add_metrics


@dataclass
class Counting:
    """A run that counts how often it was made, and stops as often as it is asked to."""

    folder: Path
    kind: str
    seed: int
    score: float
    stops: list[BaseException] = field(default_factory=list)
    made: int = 0

    def check(self) -> None:
        if note := read_note(self.folder):
            note.check(self.folder, {"score": self.score})

    def is_complete(self) -> bool:
        note = read_note(self.folder)
        return note is not None and note.complete

    def make(self) -> None:
        with noted(self.folder, {"score": self.score}):
            self.made += 1
            if self.stops:
                raise self.stops.pop()
            add_metrics(self.folder, {"accuracy": self.score, "accuracy_low": 0.1, "accuracy_high": 0.9})

    def passes(self) -> Sequence[Passes]:
        return []

    def metrics(self) -> dict[str, float]:
        from avssl.runs.reader import read_metrics

        return read_metrics(self.folder)


@dataclass
class CountingTable(PaperTable):
    """Two rows of two seeds and a floor."""

    name: ClassVar[str] = "counting"
    folder: Path
    checked: int = 0

    def __post_init__(self) -> None:
        self.all = {
            (kind, seed): Counting(self.folder / f"{kind}-{seed}", kind, seed, score + seed / 100)
            for kind, score in (("untrained", 0.2), ("first", 0.5), ("second", 0.7))
            for seed in (0, 1)
        }

    @property
    def out(self) -> Path:
        return self.folder

    def check(self) -> None:
        self.checked += 1

    def runs(self) -> list[PlannedRun]:
        return [*self.all.values(), *self.all.values()]

    def columns(self) -> list[Column]:
        return [Column("accuracy_probe", "probe", 0.125)]

    def rows(self) -> Iterator[TableRow]:
        for (kind, seed), run in self.all.items():
            group = FLOOR if kind == "untrained" else "avsa"
            published = {"accuracy_probe": 0.9} if kind == "second" else {}
            yield TableRow(kind, group, seed, run.folder, {"accuracy_probe": Source(run)}, published)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_figure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "figure" not in request.node.name:
        monkeypatch.setattr("avssl.report.report.draw", lambda *_: False)


@pytest.fixture
def table(tmp_path: Path) -> CountingTable:
    """A table in a folder of its own."""
    return CountingTable(tmp_path / "out")
