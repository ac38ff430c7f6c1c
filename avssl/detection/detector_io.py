"""Read and write detector folders: config.json and model.safetensors; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avssl.detection.backends.ultralytics import ultralytics
from avssl.detection.backends.yolo import Yolo
from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import check_version
from avssl.io.hashing import sha256
from avssl.regular_files import read_json

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
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}
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
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS}: expected the detector's weights; there are none")
    try:
        network = build(config)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder / WEIGHTS}: not the weights of a {config.architecture}: {reason}") from error
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
    library = ultralytics()
    name = config.architecture
    # A name, not a path: a description from elsewhere could hold code, and a missing one would be downloaded.
    if Path(name).name != name or not name.endswith(".yaml"):
        raise InputError(f"expected an architecture of ultralytics such as yolo11n.yaml, not {name!r}")
    try:
        network: nn.Module = library.nn.tasks.DetectionModel(name, nc=len(config.labels), verbose=False)
    except Exception as error:  # whatever the description breaks
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"ultralytics {library.__version__} ships no detector {name!r}: {reason}") from error
    network.names = dict(enumerate(config.labels))  # type: ignore[assignment]
    return network


def _read_config(path: Path) -> Config:
    note: Any = read_json(path, "the config of a detector in JSON")
    if not isinstance(note, dict) or note.get("format") != FORMAT:
        raise InputError(f"{path}: expected a detector of avssl (format {FORMAT!r}), got something else")
    check_version(path, note.get("version"), VERSION)
    values: dict[str, Any] = {each.name: note.get(each.name) for each in fields(Config)}
    whole = isinstance(values["side"], int) and isinstance(values["labels"], list) and values["labels"]
    if not whole or values["views"] not in ("viewports", "equirect") or not isinstance(values["architecture"], str):
        raise InputError(f"{path}: expected architecture, side, views and labels, they are not all there")
    return Config(**values)
