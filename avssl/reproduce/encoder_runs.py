"""Runs that make encoders: a pretraining, and the encoders that it starts from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avssl.config import DataConfig, FeatureConfig, RunConfig
from avssl.data.clip_options import CropOptions
from avssl.datasets.manifest import read_manifest
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.run_note import noted, read_note
from avssl.runs import run_folder
from avssl.synth.render_dataset import SceneOptions
from avssl.train import distributed
from avssl.train.evaluate import PASSES
from avssl.train.pretrain import PretrainRun, pretrain
from avssl.train.resolved_run import resolve_run


@dataclass(frozen=True)
class Pretraining:
    """A run of `avssl pretrain`."""

    folder: Path
    recipe: str
    config: RunConfig

    @property
    def kind(self) -> str:
        """The recipe, and whether it is a first stage."""
        return f"pretrain {self.recipe}{', first stage' if 'stage1' in self.folder.name else ''}"

    @property
    def seed(self) -> int:
        """Of weights, order and views."""
        return self.config.train.seed

    def check(self) -> None:
        """See `PlannedRun.check`."""
        run_folder.check_place(self.folder)
        run_folder.check_config(self.folder, self.config)

    def is_complete(self) -> bool:
        """Whether the folder holds trained encoders and all their numbers."""
        if not run_folder.complete(self.folder, self.config.train.steps):
            return False
        return PretrainRun(resolve_run(self.config, self.recipe), self.folder, (), False).is_complete()

    def make(self) -> None:
        """Train, or continue."""
        with noted(self.folder, {}):
            pretrain(self.config, self.folder, recipe=self.recipe, command=sys.argv)

    def passes(self) -> Sequence[Passes]:
        """Training, the task on held-out clips, and the frozen embeddings of the correspondence head."""
        run, data = resolve_run(self.config), self.config.data
        crops = run.options.crops if isinstance(run.options, CropOptions) else 1
        train, test = _clips(data)
        trained = self.config.train.steps * data.batch * crops
        held_out = PASSES * test * crops
        drawn = 0
        if run.probe is not None:
            drawn = (run.probe.train_draws * train + run.probe.test_draws * test) * run.probe.crops
            drawn *= 2 if run.probe.crop_guide == "both" else 1
        return [
            tower_passes(self.config, "video", trained, trained=True),
            tower_passes(self.config, "audio", trained, trained=True),
            tower_passes(self.config, "video", held_out + drawn),
            tower_passes(self.config, "audio", held_out + 2 * drawn),
        ]


@dataclass(frozen=True)
class Untrained:
    """The encoders from which a pretraining with random weights starts, with its statistics of features: a floor."""

    folder: Path
    recipe: str
    config: RunConfig

    @property
    def kind(self) -> str:
        """The recipe that they stand for."""
        return f"untrained encoders of {self.recipe}"

    @property
    def seed(self) -> int:
        """Of the weights."""
        return self.config.train.seed

    def check(self) -> None:
        """See `PlannedRun.check`."""
        run_folder.check_place(self.folder)
        if note := read_note(self.folder):
            note.check(self.folder, self._settings(), run_folder.MAY_CHANGE)

    def is_complete(self) -> bool:
        """Whether the encoders are written."""
        note = read_note(self.folder)
        return note is not None and note.complete and (self.folder / run_folder.ENCODERS / "config.json").is_file()

    def make(self) -> None:
        """Build the encoders, fit the statistics of their features, and save them."""
        with noted(self.folder, self._settings()):
            run = PretrainRun(resolve_run(self.config, self.recipe), self.folder, (), True)
            with distributed.processes(self.config.train.precision) as fabric:
                run.build_task()
                run.load_clips(fabric)
                run.filter_clips(fabric)
                run.fit_statistics()
            training = {"task": "none", "steps": 0, "seed": self.seed}
            run.task.encoders.save(self.folder / run_folder.ENCODERS, training=training)

    def passes(self) -> Sequence[Passes]:
        """None: reading takes the time."""
        return []

    def _settings(self) -> dict[str, Any]:
        return asdict(self.config)


def tower_passes(config: RunConfig, tower: str, count: float, *, trained: bool = False) -> Passes:
    """Windows of a pretraining's geometry through one of its towers."""
    size = config.options.get("size", CropOptions.size)
    video = tower == "video"
    window = (config.data.frames, size) if video else (round(1000 * config.data.seconds),)
    features = FeatureConfig() if video else config.features  # those of audio do not tell video passes apart
    return Passes(config.model, features, tower, window, trained, config.train.precision, float(count))


def _clips(data: DataConfig) -> tuple[float, float]:
    """Numbers of training and of held-out clips."""
    if not data.manifest:
        tested = SceneOptions.test_share
        return (1 - tested) * data.clips, tested * data.clips
    manifest = read_manifest(data.manifest)
    test = len(manifest.select("test"))
    return float(len(manifest) - test), float(test)
