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

FORMAT = "avssl-encoders"
VERSION = 2
CONVENTION = "ambix"
"""Ambisonic convention of all encoders: ACN order W, Y, Z, X and SN3D gain."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"


def write_folder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Write the three files, each atomically.

    Args:
        folder: created if missing.
        config: content of `config.json`, without format and version.
        state: parameters and buffers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"format": FORMAT, "version": VERSION, **config}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})
    write_text(folder / CARD, model_card(config))
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def find_folder(folder: Path) -> Path:
    """Folder of the encoders: the folder itself, or its `encoders/` if it is a run folder.

    Raises:
        ValueError: no encoders in either.
    """
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
