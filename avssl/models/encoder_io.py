"""Encoder folder: config.json, model.safetensors, README.md (model card)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from avssl.errors import InputError, excerpt
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import read_format
from avssl.models.model_card import model_card
from avssl.models.weights_source import local_folder

FORMAT = "avssl-encoders"
VERSION = 2
CONVENTION = "ambix"
"""Ambisonic convention of all encoders: ACN order W, Y, Z, X and SN3D gain."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"


def write_folder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], *, half: bool = False) -> None:
    """Write the three files, each atomically.

    Args:
        folder: created if missing.
        config: content of `config.json`, without format and version.
        state: parameters and buffers.
        half: write real tensors of two axes or more, weights of layers, in half precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, "version": VERSION, **config}
    tensors = {name: _stored(tensor.detach().cpu(), half) for name, tensor in state.items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})
    write_text(folder / CARD, model_card(config))
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """A tensor as it is written; statistics and biases, which take no room, keep their precision."""
    return (tensor.half() if half and tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()


def find_folder(source: Path | str) -> Path:
    """Folder of the encoders: the folder itself, its `encoders/` if it is a run folder, or that of a name.

    Args:
        source: a folder; a name, see `weights_source.local_folder`; or `hf://USER/NAME[@REVISION]`, a download.

    Raises:
        ValueError: no encoders there, no such name, or a failed download.
    """
    folder = local_folder(source)
    for each in (folder, folder / "encoders"):
        if (each / CONFIG).is_file():
            return each
    problem = "is not a folder" if not folder.is_dir() else f"has no {CONFIG}, nor has its encoders/"
    raise InputError(f"{folder}: expected encoders of avssl ({CONFIG}, {WEIGHTS}) or a run folder; it {problem}")


def read_config(folder: Path) -> dict[str, Any]:
    """Content of `config.json`.

    Raises:
        ValueError: not JSON, another format, version or convention, or incomplete.
    """
    path = folder / CONFIG
    config = read_format(path, FORMAT, VERSION, "encoders")
    if config.get("convention") != CONVENTION:
        raise InputError(
            f"{path}: expected ambisonic convention {CONVENTION!r}, got {excerpt(config.get('convention'))}"
        )
    for section in ("model", "features"):
        if not isinstance(config.get(section), dict):
            raise InputError(f"{path}: expected a section {section!r}, got none")
    return config
