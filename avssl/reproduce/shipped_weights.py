"""Encoders that come with avssl: the runs that make them, their numbers, and their folders in half precision."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from avssl import plugins
from avssl.config import RunConfig
from avssl.errors import InputError
from avssl.evaluation.true_yaw import MOST_AMONG_YAWS
from avssl.models.encoder_io import find_folder, read_config
from avssl.models.encoders import Encoders
from avssl.recipe_files import resolve
from avssl.reproduce.encoder_runs import Pretraining
from avssl.reproduce.fold_methods import AMONG_YAWS
from avssl.reproduce.fold_table import STATISTICS
from avssl.reproduce.real_clips import PRETRAINED, TITLES
from avssl.train import data_source
from avssl.train.resolved_run import PROBE, resolve_run

RECIPES = {"avsa-foa-iv-small": "avsa/small-long"}
"""Name of the entry-point group `avssl.encoders` -> recipe."""
FINGERPRINT = "fingerprint"
SCENES = {
    "avsa_bin": ("AVSA-Bin, held-out synthetic scenes", "50 %"),
    "avc_bin": ("AVC-Bin, held-out synthetic scenes", "50 %"),
    "audio_to_video_r1": ("R@1 of 1,000 synthetic windows, audio to video", "0.1 %"),
    "video_to_audio_r1": ("R@1 of 1,000 synthetic windows, video to audio", "0.1 %"),
}
"""Metric of the correspondence head -> its name in the model card, and chance."""
OBSERVER = "_ideal_both"
"""Ending of the metrics of the observer that knows kinds and directions from the ground truth."""
CLIPS = {
    "avsa_bin": ("AVSA-Bin, real clips, no adaptation", "50 %"),
    AMONG_YAWS: ("AVSA-Bin by rank, real clips, no adaptation", f"50 %, at most {100 * MOST_AMONG_YAWS:.1f} %"),
    "avc_bin": ("AVC-Bin, real clips, no adaptation", "50 %"),
}
"""Metric of `avssl reproduce real-clips` -> its name in the model card, chance, and its ceiling where it has one."""


@dataclass(frozen=True)
class ShippedWeights:
    """One set of encoders.

    Args:
        name: of the encoders.
        runs: folder of the run.
        real_clips: folder of `avssl reproduce real-clips` with the run's encoders; None: not measured.

    Raises:
        InputError: no such encoders.
    """

    name: str
    runs: Path
    real_clips: Path | None = None

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name not in RECIPES:
            raise InputError(f"expected a name of {', '.join(RECIPES)}, got {self.name!r}")

    @property
    def run(self) -> Pretraining:
        """The pretraining, with the seed 0."""
        recipe = RECIPES[self.name]
        return Pretraining(self.runs / self.name, recipe, resolve(RunConfig, recipe))

    def write(self, folder: Path) -> Mapping[str, str]:
        """Measure the weights of the complete run in half precision, and write them with a model card.

        Args:
            folder: becomes the encoder folder.

        Returns:
            The numbers of the card, and the fingerprint of the weights that have them.

        Raises:
            InputError: the run is not complete, or the folder of real clips has no such row.
        """
        trained = find_folder(self.run.folder)
        encoders = rounded(Encoders.from_pretrained(trained))
        found = {FINGERPRINT: encoders.fingerprint(), **self._scene_scores(encoders), **self._clip_scores()}
        training = {**read_config(trained)["training"], "weights": "half precision"}
        encoders.save(folder, training=training, half=True, results=found)
        return found

    def _scene_scores(self, encoders: Encoders) -> dict[str, str]:
        """Numbers of the correspondence head on the run's held-out scenes."""
        config, rate = self.run.config, self.run.config.features.sample_rate
        path, manifest = data_source.clips(config.data, rate, True)
        tested, _ = data_source.evaluation_clips(config.data, rate, path, manifest, True)
        run = resolve_run(config, self.run.recipe)
        data = {"manifest": str(path), "test_manifest": str(tested), "projections": str(self.run.folder)}
        metrics = plugins.load(plugins.HEADS, PROBE)(encoders, replace(run.probe, **data)).fit(
            self.runs / f"{self.name}-half-precision"
        )
        return {
            title: per_cent(metrics[key], metrics.get(f"{key}_low"), metrics.get(f"{key}_high"), chance)
            + f", ideal observer {100 * metrics[key + OBSERVER]:.1f} %"
            for key, (title, chance) in SCENES.items()
        }

    def _clip_scores(self) -> dict[str, str]:
        """Numbers on real clips without adaptation."""
        if self.real_clips is None:
            return {title: "not measured" for title, _ in CLIPS.values()}
        path = self.real_clips / STATISTICS
        with path.open(encoding="utf-8", newline="") as file:
            rows = {each["metric"]: each for each in csv.DictReader(file) if each["row"] == TITLES[PRETRAINED]}
        if not rows.keys() >= CLIPS.keys():
            expected = f"the row {TITLES[PRETRAINED]!r} of avssl reproduce real-clips with {', '.join(CLIPS)}"
            raise InputError(f"{path}: expected {expected}, got {', '.join(rows) or 'none'}")
        return {
            title: per_cent(float(rows[key]["value"]), float(rows[key]["low"]), float(rows[key]["high"]), chance)
            for key, (title, chance) in CLIPS.items()
        }


def rounded(encoders: Encoders) -> Encoders:
    """Encoders as they are after they were stored in half precision."""
    with tempfile.TemporaryDirectory() as scratch:
        encoders.save(scratch, half=True)
        return Encoders.from_pretrained(scratch)


def per_cent(value: float, low: float | None, high: float | None, chance: str) -> str:
    """A share in per cent with its interval, if there is one, and chance.

    Example:
        >>> per_cent(0.901, 0.89, 0.912, "50 %")
        '90.1 % [89.0, 91.2], chance 50 %'
    """
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value:.1f} %{interval}, chance {chance}"
