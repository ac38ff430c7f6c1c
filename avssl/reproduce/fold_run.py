"""One row of a table by cross-validation over videos, on one fold: a run that is made once and continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from avssl.datasets.manifest import Manifest
from avssl.evaluation.video_folds import Fold
from avssl.reproduce.fold_outcomes import NAME, Scores, write_scores
from avssl.reproduce.fold_training import remove_checkpoints
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.run_note import noted, read_note
from avssl.runs import run_folder


class FoldMethod(Protocol):
    """Row of a table by cross-validation: something that is fitted to training clips and scored on test clips."""

    @property
    def name(self) -> str:
        """Of its folders and on the command line."""
        ...

    @property
    def title(self) -> str:
        """In the table."""
        ...

    def settings(self, repeat: int) -> dict[str, Any]:
        """All that its scores depend on, besides the clips."""
        ...

    def scores(self, fold: Fold, videos: Mapping[str, str], repeat: int, folder: Path) -> Scores:
        """Fit to the training clips, and score the test clips.

        Args:
            fold: clips; no video is on both sides.
            videos: key of a clip -> name of its video.
            repeat: number of the partition in folds.
            folder: takes checkpoints, from which it continues.
        """
        ...

    def passes(self, fold: Fold, repeat: int) -> Sequence[Passes]:
        """Windows that it passes through towers, by which its time is estimated."""
        ...


@dataclass(frozen=True)
class FoldRun:
    """A row on one fold of one partition; see `avssl.reproduce.planned_run.PlannedRun`."""

    folder: Path
    method: FoldMethod
    fold: Fold
    videos: Mapping[str, str]
    """Key of a clip -> name of its video."""
    repeat: int
    """Number of the partition."""

    @property
    def kind(self) -> str:
        """The row."""
        return self.method.title

    @property
    def seed(self) -> int:
        """Number of the partition."""
        return self.repeat

    def check(self) -> None:
        """See that the folder is free, or holds this run.

        Raises:
            InputError: it belongs to another run.
        """
        run_folder.check_place(self.folder)
        if note := read_note(self.folder):
            note.check(self.folder, self._settings())

    def is_complete(self) -> bool:
        """Whether the scores are there."""
        note = read_note(self.folder)
        return note is not None and note.complete and (self.folder / NAME).is_file()

    def make(self) -> None:
        """Fit, score, write; or continue."""
        with noted(self.folder, self._settings()):
            scores = self.method.scores(self.fold, self.videos, self.repeat, self.folder)
            write_scores(self.folder, scores, self.videos)
            remove_checkpoints(self.folder)

    def passes(self) -> Sequence[Passes]:
        """Those of the row."""
        return self.method.passes(self.fold, self.repeat)

    def _settings(self) -> dict[str, Any]:
        sides = {"training": _digest(self.fold.training, self.videos), "test": _digest(self.fold.test, self.videos)}
        return (
            {"row": self.method.name, "repeat": self.repeat, "fold": self.fold.number}
            | sides
            | {"method": self.method.settings(self.repeat)}
        )


def _digest(clips: Manifest, videos: Mapping[str, str]) -> str:
    """Hash of clips and their videos."""
    rows = [{**asdict(row), "of": videos[row.key]} for row in clips]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
