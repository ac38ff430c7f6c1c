"""The folder of a head that was fitted: config.json, action.safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from avssl import __version__
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.datasets.dataset import Dataset
from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.models.encoder_io import load_tensors, read_format, read_tensors
from avssl.models.encoders import Encoders
from avssl.runs.run_folder import check_same
from avssl.train.checkpoint import LAST
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.classification.probes import Classifier, fitted

CONFIG = "config.json"
WEIGHTS = "action.safetensors"
FORMAT = "avssl-action"
VERSION = 2
FREE = ("test_clips", "workers", "precision")
"""Settings that a fitted head may be used with, whatever it was fitted with."""
MAY_CHANGE = ("avssl", *(f"options.{name}" for name in (*FREE, "save_every", "title", "published", "root")))
"""What may differ when fine-tuning is continued."""


@dataclass(frozen=True)
class ActionClassifier:
    """What tells actions apart: a tower, and a classifier of its embeddings."""

    encoders: Encoders
    """Whose video tower it is; the audio tower is of no use here, and not kept."""
    classifier: Classifier
    classes: tuple[str, ...]


def describe(encoders: Encoders, options: ActionOptions, labelled: Dataset, fold: str) -> dict[str, Any]:
    """What `config.json` says of a head.

    Args:
        encoders: that it begins with.
        options: of it.
        labelled: the data set.
        fold: that it is fitted to.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "avssl": __version__,
        "data": labelled.name,
        "fold": fold,
        "classes": list(labelled.classes),
        "options": asdict(options),
        "model": asdict(encoders.model_config),
        "features": asdict(encoders.feature_config),
        "begins_with": encoders.fingerprint(),
    }


def begin(folder: Path, config: dict[str, Any]) -> None:
    """Make a folder that of a head that is about to be fitted.

    Raises:
        InputError: it holds a checkpoint of other data, options or encoders.
        OSError: it cannot be written.
    """
    path = folder / CONFIG
    if (folder / LAST).is_file() and path.is_file():
        check_same(folder, _read(path), config, MAY_CHANGE)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def write(folder: Path, recogniser: ActionClassifier) -> None:
    """Write tower and classifier, whole or not at all."""
    tower = {f"video.{name}": tensor for name, tensor in recogniser.encoders.video.state_dict().items()}
    parts = {f"classifier.{name}": tensor for name, tensor in recogniser.classifier.state.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in (tower | parts).items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})


def read(folder: Path, settings: Any) -> tuple[ActionClassifier, ActionOptions]:
    """A fitted head, and its options with some settings changed; nothing is unpickled.

    Args:
        folder: of the files.
        settings: nested; only those of `FREE` may differ from what it was fitted with.

    Raises:
        InputError: no such folder, a broken file, or settings that need another fit.
    """
    path = folder / CONFIG
    if not path.is_file():
        some = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
        near = f"; its folder {some[0]} has" if some else ""
        raise InputError(f"{folder}: expected a fitted head ({CONFIG}, {WEIGHTS}), it has no {CONFIG}{near}")
    config = _read(path)
    options = fill(ActionOptions, config["options"], settings, where=str(path))
    check_same(folder, asdict(fill(ActionOptions, config["options"], where=str(path))), asdict(options), FREE)
    encoders = Encoders(
        fill(ModelConfig, config["model"], where=str(path)), fill(FeatureConfig, config["features"], where=str(path))
    )
    tensors = read_tensors(folder / WEIGHTS)
    load_tensors(encoders.video, _under("video.", tensors), str(folder / WEIGHTS))
    classifier = fitted(_under("classifier.", tensors))
    return ActionClassifier(encoders.eval(), classifier, tuple(config["classes"])), options


def _read(path: Path) -> dict[str, Any]:
    config = read_format(path, FORMAT, VERSION, "a head that recognises actions")
    lacking = [name for name in ("classes", "options", "model", "features") if name not in config]
    if lacking:
        raise InputError(f"{path}: expected the sections classes, options, model and features; {lacking[0]} is missing")
    return config


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
