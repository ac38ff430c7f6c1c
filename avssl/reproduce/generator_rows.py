"""Rows of the table of generators of spatial audio on recordings: as fitted, adapted, or trained from scratch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.evaluation.video_folds import Fold
from avssl.io.atomic import write_text
from avssl.io.hashing import sha256
from avssl.models.encoder_io import WEIGHTS as ENCODER_WEIGHTS
from avssl.models.encoders import Encoders
from avssl.reproduce.fold_methods import SEEDS
from avssl.reproduce.fold_outcomes import Scores
from avssl.reproduce.fold_training import remove_checkpoints
from avssl.reproduce.network_passes import Passes
from avssl.runs.run_folder import ENCODERS

HEAD = "spatialize"
"""Name of the head."""
LISTS = "lists"
"""Folder of the lists of the training and test clips of a fold."""
WEIGHTS, BY_CLIP = "generator.safetensors", "by_clip.csv"
"""Files that the head leaves in its folder."""
METRICS = ("explained", "direction_error", "stft", "env", "emd_degrees", "lsd")
"""Metrics of a clip that are scores."""


@dataclass(frozen=True)
class GeneratorRow:
    """A generator on the folds.

    Args:
        name: of its folders.
        title: in the table.
        options: of the head; of a fitted one, those of its fit.
        head: folder of a fitted head; None: random weights.
        trained: on the training clips, from the head's weights or random ones; otherwise the head as it is.
        encoders: run folder of pretraining, for branches `encoders`; None: none.
        row: of the evaluations that the table shows.
    """

    name: str
    title: str
    options: Any
    head: Path | None
    trained: bool
    encoders: Path | None = None
    row: str = "test"

    def settings(self, repeat: int) -> dict[str, Any]:
        """See `FoldMethod.settings`."""
        options = {key: value for key, value in asdict(self.options).items() if key not in ("workers", "init", "lists")}
        weights = sha256(self.head / WEIGHTS) if self.head else "random"
        encoders = sha256(self.encoders / ENCODERS / ENCODER_WEIGHTS) if self.encoders else ""
        return {"options": options, "weights": weights, "encoders": encoders, "trained": self.trained}

    def scores(self, fold: Fold, videos: Mapping[str, str], repeat: int, folder: Path) -> Scores:
        """See `FoldMethod.scores`; metrics are `test:explained`, `silence:explained`, by row of the evaluation."""
        run, lists = folder / "run", folder / LISTS
        lists.mkdir(parents=True, exist_ok=True)
        for split, clips in (("train", fold.training), ("test", fold.test)):
            write_text(lists / f"{split}.txt", "".join(f"{row.key}.wav\n" for row in clips))
        data = {"manifest": str(fold.test.root), "lists": str(lists), "split": "test", "max_clips": 0}
        self._make(data, run, SEEDS * repeat + fold.number)
        remove_checkpoints(run)
        return read_by_clip(run / BY_CLIP)

    def passes(self, fold: Fold, repeat: int) -> Sequence[Passes]:
        """None: generators have networks of their own."""
        return []

    def _make(self, data: dict[str, Any], run: Path, seed: int) -> None:
        """Train and evaluate, or only evaluate."""
        kind = plugins.load(plugins.HEADS, HEAD)
        if not self.trained:
            kind.load(self.head, data | {"calibrate": self.options.calibrate}).measure(run)
            return
        encoders = Encoders.from_pretrained(self.encoders) if self.encoders else None
        init = str(self.head) if self.head else ""
        own = replace(self.options, **data, init=init, train=replace(self.options.train, seed=seed))
        kind(encoders, own).fit(run)


def read_by_clip(path: Path) -> Scores:
    """Scores of all rows of an evaluation: `ROW:METRIC` -> key of a clip and its score, where it is defined."""
    found: Scores = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            for metric in METRICS:
                if line.get(metric):
                    found.setdefault(f"{line['row']}:{metric}", []).append((line["clip"], float(line[metric])))
    return found
