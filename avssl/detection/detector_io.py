"""Read and write detector folders: config.json and model.safetensors; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from avssl.detection.backends.architectures import build_network, check_labels, check_side
from avssl.detection.backends.yolo import Yolo
from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import read_format
from avssl.io.hashing import sha256
from avssl.io.tensor_files import load_tensors, read_tensors

FORMAT = "avssl-detector"
VERSION = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Config:
    """Architecture, input size and labels of a detector."""

    architecture: str
    """Architecture file of ultralytics, such as yolo11n.yaml."""
    side: int
    """Image size in training, in pixels."""
    views: str
    """Input of panoramas: viewports or equirect."""
    labels: list[str]
    """By number."""


def write_folder(folder: Path, config: Config, state: Mapping[str, Tensor]) -> None:
    """Write the two files, each atomically.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _plain(tensor) for name, tensor in state.items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})
    note = {"format": FORMAT, "version": VERSION, **asdict(config)}
    write_text(folder / CONFIG, json.dumps(note, indent=1) + "\n")


def read_folder(folder: Path) -> Yolo:
    """The detector of a folder that `write_folder` wrote.

    Raises:
        InputError: it is something else, or not whole.
    """
    config = _read_config(folder / CONFIG)
    try:
        network = build(config)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    what = f"{folder / WEIGHTS}: not the weights of a {config.architecture}"
    load_tensors(network, read_tensors(folder / WEIGHTS), what)
    detector = Yolo(network, folder.resolve().name, sha256(*folder_files(folder)), config.side)
    detector.views = config.views
    return detector


def folder_files(folder: Path) -> list[Path]:
    """The files whose hash is a detector's."""
    return [folder / WEIGHTS, folder / CONFIG]


def build(config: Config) -> nn.Module:
    """A network of ultralytics with random weights.

    Raises:
        InputError: ultralytics ships no such architecture of a detector.
    """
    return build_network(config.architecture, config.labels)


def _plain(tensor: Tensor) -> Tensor:
    """Weights as float32; counters stay whole numbers."""
    return (tensor.detach().float() if tensor.is_floating_point() else tensor.detach()).cpu().contiguous()


def _read_config(path: Path) -> Config:
    note = read_format(path, FORMAT, VERSION, "a detector")
    if missing := [each.name for each in fields(Config) if each.name not in note]:
        raise InputError(f"{path}: expected architecture, side, views and labels, {missing[0]} is missing")
    if not isinstance(note["architecture"], str) or note["views"] not in ("viewports", "equirect"):
        raise InputError(f"{path}: expected a name as architecture, and viewports or equirect as views")
    try:
        side, labels = check_side(note["side"]), check_labels(note["labels"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Config(note["architecture"], side, note["views"], labels)
