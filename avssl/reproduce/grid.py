"""Rows of the papers' tables as encoders: recipes, seeds, data, and settings of the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from avssl.config import RunConfig
from avssl.datasets.manifest import read_manifest
from avssl.detection.ground_truth import TRUTH
from avssl.detection.object_index import find_objects
from avssl.errors import InputError
from avssl.recipe_files import resolve
from avssl.reproduce import ROWS, TASKS
from avssl.reproduce.encoder_runs import Pretraining, Untrained
from avssl.runs.reader import flat

PRETRAIN = "pretrain"
"""Section of the user's settings for `avssl pretrain`; the others are named as heads."""
ENCODERS = "encoders"
"""Folder of the runs that make encoders."""


@dataclass(frozen=True)
class Grid:
    """The encoders of a table: pretext tasks x rows x seeds."""

    out: Path
    """Folder of all runs and of the table."""
    size: str = "small"
    """small or full: the recipes."""
    tasks: tuple[str, ...] = TASKS
    rows: tuple[str, ...] = ROWS
    seeds: tuple[int, ...] = (0, 1, 2)
    manifest: str = ""
    """Clips of pretraining; empty: the synthetic dataset of the recipe."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Section -> nested settings of the user, which stand above the recipes."""

    def cells(self) -> Iterator[tuple[str, str]]:
        """Task and row, in the order of the table."""
        return ((task, row) for task in self.tasks for row in self.rows)

    def layer(self, section: str) -> Any:
        """The user's settings of a section."""
        return self.settings.get(section, {})

    def changed(self, section: str) -> set[str]:
        """Keys of a section that the user sets, as `a.b`."""
        return set(flat(self.layer(section)))

    def pretraining(self, task: str, row: str, seed: int) -> Pretraining:
        """The run that makes the encoders of a row."""
        recipe = f"{task}/{self.size}-{row}"
        config = self._config(recipe, seed)
        if (start := self.first_stage(task, row, seed)) is not None:
            config = replace(config, model=replace(config.model, init=str(start.folder)))
        return Pretraining(self._folder(f"{task}-{row}", seed), recipe, config)

    def first_stage(self, task: str, row: str, seed: int) -> Pretraining | None:
        """The run of half of `avc`'s steps from which `avsa`'s published curriculum starts; None of other rows."""
        if task != "avsa" or self.size != "full" or "model.init" in self.changed(PRETRAIN):
            return None
        recipe = f"avc/{self.size}-{row}"
        config = self._config(recipe, seed)
        half = replace(config.train, steps=max(1, config.train.steps // 2))
        config = replace(config, train=half, title=f"{config.title}, first stage")
        return Pretraining(self._folder(f"avc-{row}-stage1", seed), recipe, config)

    def untrained(self, row: str, seed: int) -> Untrained:
        """The encoders of a row with random weights."""
        recipe = f"avc/{self.size}-{row}"
        config = self._config(recipe, seed)
        config = replace(config, model=replace(config.model, init=""), title="untrained")
        return Untrained(self._folder(f"untrained-{row}", seed), recipe, config)

    def check(self) -> None:
        """Check the clips of pretraining, and that objects can be detected in them.

        Raises:
            InputError: an unusable manifest or detector.
        """
        manifest = read_manifest(self.manifest) if self.manifest else None
        for task, row in self.cells():
            detector = self._config(f"{task}/{self.size}-{row}", 0).data.detector
            if detector in ("", TRUTH) or (manifest and find_objects(manifest.root, detector).is_file()):
                continue
            from avssl.detection.backends import load_detector

            try:
                load_detector(detector)
            except InputError as error:
                advice = f"choose rows without objects by --row, or another by --set {PRETRAIN}.data.detector=PATH"
                raise InputError(f"row {row}: {error}; {advice}") from error

    def _config(self, recipe: str, seed: int) -> RunConfig:
        if recipe not in self._configs:
            given = {"data": {"manifest": self.manifest}} if self.manifest else {}
            found = resolve(RunConfig, recipe, given, self.layer(PRETRAIN), where=PRETRAIN)
            # A published number stands only where its method and data are, which the table decides.
            self._configs[recipe] = replace(found, published={})
        config = self._configs[recipe]
        return replace(config, train=replace(config.train, seed=seed))

    @cached_property
    def _configs(self) -> dict[str, RunConfig]:
        """Recipe -> config: filling one takes a tenth of a second."""
        return {}

    def _folder(self, name: str, seed: int) -> Path:
        return self.out / ENCODERS / f"{name}-seed{seed}"
