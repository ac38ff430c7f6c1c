"""Folder of a fitted head: `config.json` and `action.safetensors`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from avssl import __version__
from avssl.config import FeatureConfig, ModelConfig, fill
from avssl.datasets.dataset import Dataset
from avssl.errors import InputError, excerpt
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import read_format
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.encoders import Encoders
from avssl.models.tower_factory import check_backbones
from avssl.runs.run_folder import check_same
from avssl.spatial.features import Features
from avssl.train.checkpoint import LAST
from avssl_downstream.action.options import ActionOptions
from avssl_downstream.classification.probes import Classifier, check_state, classifier_from_state

CONFIG = "config.json"
WEIGHTS = "action.safetensors"
FORMAT = "avssl-action"
VERSION = 2
INFERENCE_OPTIONS = ("test_clips", "workers", "precision")
"""Options of a fitted head that may be overridden at inference."""
MAY_CHANGE = (
    "avssl",
    *(f"options.{name}" for name in (*INFERENCE_OPTIONS, "save_every", "title", "published", "root")),
)
"""Keys of `config.json` that may differ when fine-tuning is resumed."""


@dataclass(frozen=True)
class ActionClassifier:
    """Video tower and a classifier of its embeddings."""

    encoders: Encoders
    """Encoders with the video tower; the audio tower is not saved."""
    classifier: Classifier
    classes: tuple[str, ...]


def head_config(encoders: Encoders, options: ActionOptions, dataset: Dataset, fold: str) -> dict[str, Any]:
    """Content of `config.json`.

    Args:
        encoders: before fitting.
        options: of the head.
        dataset: labelled videos.
        fold: name of the fold whose training part it is fitted to.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "avssl": __version__,
        "data": dataset.name,
        "fold": fold,
        "classes": list(dataset.classes),
        "options": asdict(options),
        "model": asdict(encoders.model_config),
        "features": asdict(encoders.feature_config),
        "begins_with": encoders.fingerprint(),
    }


def init_head_folder(folder: Path, config: dict[str, Any]) -> None:
    """Create the folder of a head before it is fitted, or check that it belongs to the same head.

    Raises:
        InputError: the folder has a checkpoint of other data, options or encoders.
        OSError: the folder cannot be written.
    """
    path = folder / CONFIG
    if (folder / LAST).is_file() and path.is_file():
        check_same(folder, _read(path), config, MAY_CHANGE)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def save_head(folder: Path, action_classifier: ActionClassifier) -> None:
    """Write tower and classifier atomically."""
    tower = {f"video.{name}": tensor for name, tensor in action_classifier.encoders.video.state_dict().items()}
    head = {f"classifier.{name}": tensor for name, tensor in action_classifier.classifier.state.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in (tower | head).items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})


def load_head(folder: Path, settings: Any) -> tuple[ActionClassifier, ActionOptions]:
    """Load a fitted head and its options, some of them overridden; nothing is unpickled.

    Args:
        folder: with `config.json` and `action.safetensors`.
        settings: nested options; only `INFERENCE_OPTIONS` may differ from the saved ones.

    Raises:
        InputError: no such folder, a broken file, or settings that require fitting again.
    """
    path = folder / CONFIG
    if not path.is_file():
        subfolders = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
        hint = f"; its subfolder {subfolders[0]} has one" if subfolders else ""
        raise InputError(f"{folder}: expected a fitted head ({CONFIG}, {WEIGHTS}), it has no {CONFIG}{hint}")
    config = _read(path)
    options = fill(ActionOptions, config["options"], settings, where=str(path))
    check_same(
        folder, asdict(fill(ActionOptions, config["options"], where=str(path))), asdict(options), INFERENCE_OPTIONS
    )
    tensors = read_tensors(folder / WEIGHTS)
    encoders = _build_encoders(config, tensors, folder)
    load_tensors(encoders.video, _under("video.", tensors), str(folder / WEIGHTS))
    classes, state = tuple(config["classes"]), _under("classifier.", tensors)
    try:
        check_state(state, encoders.video_width, len(classes))
    except InputError as error:
        raise InputError(f"{folder / WEIGHTS}: {error}") from error
    return ActionClassifier(encoders.eval(), classifier_from_state(state), classes), options


def _build_encoders(config: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> Encoders:
    """Encoders with random weights; the audio tower, which a head does not use, is that of the preset."""
    where = str(folder / CONFIG)
    model = replace(fill(ModelConfig, config["model"], where=where), audio="")
    features = fill(FeatureConfig, config["features"], where=where)
    check_backbones(model, Features.count_maps(features), tensors, str(folder / WEIGHTS))
    return Encoders(model, features)


def _read(path: Path) -> dict[str, Any]:
    config = read_format(path, FORMAT, VERSION, "a fitted head of `action`")
    missing = [name for name in ("classes", "options", "model", "features") if name not in config]
    if missing:
        raise InputError(f"{path}: expected the sections classes, options, model and features; {missing[0]} is missing")
    classes = config["classes"]
    if not isinstance(classes, list) or not classes or not all(isinstance(each, str) for each in classes):
        raise InputError(f"{path}: expected a list of names as classes, got {excerpt(classes)}")
    return config


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
