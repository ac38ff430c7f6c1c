"""Encoder folder: config.json, model.safetensors, README.md (model card)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.io.atomic import replacing, write_text
from avssl.io.format_version import check_version
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
        raise InputError(f"{path}: expected ambisonic convention {CONVENTION!r}, got {config.get('convention')!r}")
    for section in ("model", "features"):
        if not isinstance(config.get(section), dict):
            raise InputError(f"{path}: expected a section {section!r}, got none")
    return config


def read_format(path: Path, kind: str, version: int, what: str) -> dict[str, Any]:
    """Read a JSON mapping of one of avssl's formats.

    Args:
        path: JSON file.
        kind: expected value of `format`.
        version: expected value of `version`.
        what: content, for errors.

    Raises:
        ValueError: not JSON, not of this format, or of another version.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict) or config.get("format") != kind:
        raise InputError(f"{path}: expected {what} of avssl (format {kind!r}), got something else")
    check_version(path, config.get("version"), version)
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; pickles are never read, as unpickling runs foreign code.

    Raises:
        ValueError: missing or broken file, or another file type.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a safetensors file, got none")
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: expected a safetensors file, never a pickle; convert it once with: {_conversion(path)}"
        )
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected a complete safetensors file, got {str(error).splitlines()[0]}") from error
    return tensors


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load every parameter and buffer of a module.

    Args:
        module: changed in place, only if all tensors match.
        tensors: name -> tensor, with exactly the module's names.
        where: file of the tensors, for errors.

    Raises:
        ValueError: missing or unexpected names, or shapes that differ.
    """
    expected = module.state_dict()
    _check_empty(where, "lacks", sorted(expected.keys() - tensors.keys()))
    _check_empty(where, "has unexpected", sorted(tensors.keys() - expected.keys()))
    _check_empty(
        where,
        "has other shapes at",
        [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if tensors[name].shape != tensor.shape
        ],
    )
    module.load_state_dict(dict(tensors))


def _check_empty(where: str, problem: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(f"{where}: {problem} {', '.join(names[:3])}{more}")


def _conversion(path: Path) -> str:
    load = f"torch.load({path.name!r}, map_location='cpu', weights_only=True)"
    return (
        'python -c "import torch; from safetensors.torch import save_file; '
        f"s = {load}; s = s.get('model', s); "
        f'save_file({{k: v.contiguous() for k, v in s.items()}}, {path.with_suffix(".safetensors").name!r})"'
    )
