"""Fitted generators that come with avssl: the runs that make them, their folders in half precision, their numbers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from avssl import plugins
from avssl.config import DataConfig, fill
from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.io.hashing import sha256
from avssl.io.tensor_files import read_tensors
from avssl.models.fitted_head_scores import FILE as SCORES
from avssl.models.fitted_head_scores import read_scores
from avssl.models.tower import pooling_tensors
from avssl.regular_files import read_json
from avssl.reproduce.head_card import head_card
from avssl.reproduce.head_runs import HeadRun, head_options
from avssl.reproduce.recording_scores import recording_scores
from avssl.runs.reader import read_metrics
from avssl.train import data_source

HEAD_RECIPES = {
    "asn-small": "spatialize/asn-small",
    "foa360-small": "spatialize/foa360-pointing",
    "mono_to_3d-small": "spatialize/mono_to_3d-pointing",
    "pseudo_binaural-small": "spatialize/pseudo_binaural-small",
}
"""Name of the entry-point group `avssl.heads` -> recipe of the head `spatialize`."""
HEAD = "spatialize"
CONFIG, WEIGHTS, PRIOR, CARD = "config.json", "generator.safetensors", "prior.json", "README.md"
PATHS = ("manifest", "lists", "audio_only", "init", "heat_map", "segmenter", "hrirs", "visual_weights")
"""Options of the fit that name files of the machine that it ran on; the weights need none of them."""
SCENES, SEED = 16, 100
"""Scenes of the measurement, and the seed of their dataset, which no recipe trains or tests on."""
FRAME_RATE = 16.0
KEPT = ("explained", "explained_low", "explained_high", "direction_error", "stft", "emd_degrees")
ROWS = ("test", "silence", "mono", "prior", "ahead", "flipped", "best_real")
"""Rows of an evaluation whose metrics are stored."""


@dataclass(frozen=True)
class GeneratorRun(HeadRun):
    """The run that fits a generator by a recipe."""

    @property
    def seed(self) -> int:
        """Of its training."""
        found: int = self.options.train.seed
        return found


@dataclass(frozen=True)
class ShippedHead:
    """One fitted generator.

    Args:
        name: of the head.
        runs: folder of the run.
        fitted: folder of a head that is fitted already; None: the run of the recipe.
        real_clips: folder of `avssl reproduce generator-clips` with this head; None: not measured.

    Raises:
        InputError: no such head.
    """

    name: str
    runs: Path
    fitted: Path | None = None
    real_clips: Path | None = None

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name not in HEAD_RECIPES:
            raise InputError(f"expected a name of {', '.join(HEAD_RECIPES)}, got {self.name!r}")

    def planned(self) -> list[HeadRun]:
        """The run that has to be made; none of a head that is fitted already."""
        if self.fitted is not None:
            return []
        options = head_options(HEAD, HEAD_RECIPES[self.name])
        return [GeneratorRun(self.runs / self.name, self.name, HEAD, options, None)]

    def write(self, folder: Path) -> Mapping[str, str]:
        """Write the head in half precision as a package, with its scores, measured with these weights, and a card.

        Args:
            folder: becomes the package.

        Returns:
            The numbers of the card.

        Raises:
            InputError: no fitted generator, or the folder of real clips has no such row.
        """
        source = self.fitted or self.runs / self.name
        config, weights = _read(source)
        recordings = recording_scores(self.real_clips)
        with tempfile.TemporaryDirectory() as scratch:
            packed = Path(scratch) / "head"
            _pack(source, packed, config, weights)
            scores = self._scores(packed, source, recordings)
            card, numbers = head_card(self.name, HEAD_RECIPES[self.name], config, weights, scores, recordings)
            _place(packed, folder)
        write_text(folder / SCORES, json.dumps(scores, indent=2) + "\n")
        write_text(folder / CARD, card)
        worth = scores["worth"]
        summary = f"{worth[0].upper()}{worth[1:]}.\n\nRecipe `{HEAD_RECIPES[self.name]}`."
        write_text(folder / "__init__.py", f'"""{summary}\n"""\n')
        return numbers

    def _scores(self, packed: Path, source: Path, recordings: Mapping[str, str]) -> dict[str, Any]:
        """Content of `scores.json`; the scenes are those of the recipe's dataset."""
        options = head_options(HEAD, HEAD_RECIPES[self.name])
        scenes = {
            "clips": SCENES,
            "clip_seconds": options.clip_seconds,
            "synthetic_seed": SEED,
            "synthetic_dataset": options.synthetic_dataset,
            "synthetic_options": dict(options.synthetic_options),
            "frame_rate": FRAME_RATE,
        }
        metrics, run = _measured(packed, scenes), _kept(read_metrics(source))
        found = {"weights": sha256(packed / WEIGHTS), "scenes": scenes, "metrics": metrics, "run": run}
        return {"worth": _worth(run or metrics, bool(run), recordings), **found}


def measure_again(folder: Path) -> dict[str, float]:
    """Metrics of a packaged head on the scenes of its `scores.json`.

    Raises:
        InputError: broken files.
    """
    return _measured(folder, read_scores(folder)["scenes"])


def _read(source: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config of a fitted head, and the weights that its maps need."""
    for name in (CONFIG, WEIGHTS):
        if not (source / name).is_file():
            raise InputError(f"{source}: expected a fitted head ({CONFIG}, {WEIGHTS}), got a folder without {name}")
    config = read_json(source / CONFIG, "a fitted head in JSON")
    if not isinstance(config, dict) or not isinstance(config.get("options"), dict):
        raise InputError(f"{source / CONFIG}: expected a section options, got none")
    unused = pooling_tensors(plugins.load(plugins.HEADS, HEAD).load(source, {}).generator)
    return config, {name: each for name, each in read_tensors(source / WEIGHTS).items() if name not in unused}


def _pack(source: Path, folder: Path, config: dict[str, Any], weights: Mapping[str, torch.Tensor]) -> None:
    """Write config without paths, for any processor, weights in half precision, and the spatial prior, if any."""
    folder.mkdir()
    options: dict[str, Any] = {key: "" if key in PATHS else value for key, value in config["options"].items()}
    options["train"] = {**options["train"], "precision": "auto"}
    write_text(folder / CONFIG, json.dumps({**config, "options": options}, indent=2) + "\n")
    half = {name: each.half() if each.is_floating_point() and each.ndim > 1 else each for name, each in weights.items()}
    with replacing(folder / WEIGHTS) as part:
        save_file({name: each.contiguous().clone() for name, each in half.items()}, part, metadata={"format": "pt"})
    if (source / PRIOR).is_file():
        write_text(folder / PRIOR, (source / PRIOR).read_text(encoding="utf-8"))


def _place(packed: Path, folder: Path) -> None:
    """Copy the files of a head to a folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in sorted(packed.iterdir()):
        with replacing(folder / each.name) as part:
            part.write_bytes(each.read_bytes())


def _measured(folder: Path, scenes: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of a head on rendered scenes, computed in full precision."""
    head = plugins.load(plugins.HEADS, HEAD).load(folder, {})
    data = fill(DataConfig, dict(scenes), where=f"{folder / SCORES}: scenes")
    path, _ = data_source.clips(data, head.generator.sample_rate, test_share=1.0)
    settings = {"manifest": str(path), "max_clips": 0, "workers": 0, "train": {"precision": "32-true"}}
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[str, float] = plugins.load(plugins.HEADS, HEAD).load(folder, settings).measure(Path(scratch))
    return _kept(found)


def _kept(metrics: Mapping[str, float]) -> dict[str, float]:
    names = [f"{row}_{name}" for row in ROWS for name in KEPT]
    return {name: metrics[name] for name in names if name in metrics}


def _worth(metrics: Mapping[str, float], of_run: bool, recordings: Mapping[str, str]) -> str:
    """One line: energy explained of synthetic scenes, and what is known of recordings."""
    where = "held-out synthetic scenes" if of_run else f"{SCENES} synthetic scenes"
    explained = metrics.get("test_explained")
    share = "energy explained not defined" if explained is None else f"energy explained {100 * explained:.0f} %"
    real = recordings.get("explained", "")
    return f"{share} of {where}, {'real clips ' + real if real else 'not measured on real clips'}"
