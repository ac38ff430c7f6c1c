"""Runs of downstream heads on the encoders of another run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.io.hashing import sha256
from avssl.models.encoder_io import WEIGHTS
from avssl.models.encoders import Encoders
from avssl.recipe_files import resolve
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.planned_run import PlannedRun
from avssl.reproduce.run_note import noted, read_note
from avssl.runs import run_folder
from avssl.runs.reader import CONFIG, read_config, read_metrics

MAY_CHANGE = ("options.workers", "options.save_every", "options.title", "options.published")


@dataclass(frozen=True)
class HeadRun:
    """A run of `avssl downstream`: a head fitted and evaluated."""

    folder: Path
    kind: str
    head: str
    options: Any
    """An instance of the head's `Options`."""
    encoders: PlannedRun | None
    """Run that makes its encoders; None: it has none."""
    network_passes: tuple[Passes, ...] = ()

    @property
    def seed(self) -> int:
        """Of the head."""
        found: int = self.options.seed
        return found

    def check(self) -> None:
        """See `PlannedRun.check`."""
        run_folder.check_place(self.folder)
        if note := read_note(self.folder):
            note.check(self.folder, self._settings(), MAY_CHANGE)

    def is_complete(self) -> bool:
        """Whether the head was evaluated, on the encoders that are there now."""
        note = read_note(self.folder)
        if note is None or not note.complete or not read_metrics(self.folder):
            return False
        return self.encoders is None or note.settings.get("encoders") == self._settings().get("encoders")

    def make(self) -> None:
        """Fit and evaluate the head."""
        kind = plugins.load(plugins.HEADS, self.head)
        encoders = Encoders.from_pretrained(self.encoders.folder) if self.encoders else None
        with noted(self.folder, self._settings()):
            kind(encoders, self.options).fit(self.folder)

    def passes(self) -> Sequence[Passes]:
        """As they were given."""
        return self.network_passes

    def metrics(self) -> dict[str, float]:
        """Numbers of the finished run."""
        return read_metrics(self.folder)

    def data_set(self) -> str:
        """Name of the data set that the run was evaluated on, that of a synthetic one says so; empty until it is."""
        return str(read_config(self.folder).get("data_set", "")) if (self.folder / CONFIG).is_file() else ""

    def _settings(self) -> dict[str, Any]:
        """Head, options, and a hash of the weights of the encoders where these are made."""
        found: dict[str, Any] = {"head": self.head, "options": asdict(self.options)}
        weights = self.encoders.folder / run_folder.ENCODERS / WEIGHTS if self.encoders else None
        return found | ({"encoders": sha256(weights)} if weights and weights.is_file() else {})


def head_options(name: str, recipe: str, *layers: Any) -> Any:
    """Options of an installed head from a recipe and further layers.

    Args:
        name: of the head.
        recipe: name or path; empty: the head's defaults.
        layers: nested mappings of plain values, later ones first.

    Raises:
        InputError: no such head or recipe, or an unknown key or value.
    """
    return _options(name, recipe, json.dumps(layers))


@lru_cache
def _options(name: str, recipe: str, layers: str) -> Any:
    """Options from layers in JSON; filling them takes a tenth of a second."""
    return resolve(plugins.load_options(plugins.HEADS, name), recipe, *json.loads(layers), where=name)
