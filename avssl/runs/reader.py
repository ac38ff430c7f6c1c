"""Reader of run folders: config and metrics; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.errors import InputError
from avssl.io.format_version import check_version
from avssl.regular_files import read_json
from avssl.yaml_files import read_yaml

CONFIG = "config.yaml"
METRICS = "metrics.json"
FORMAT = 2
"""Format of run folders and checkpoints; format 1, which was not written down, had other keys."""


def read_config(folder: Path) -> dict[str, Any]:
    """Settings of a run, nested as in the file; keys may be those of another version.

    Raises:
        InputError: the file is not YAML, or no mapping of keys.
        OSError: it cannot be read.
    """
    return {key: value for key, value in _read(folder / CONFIG).items() if key != "format"}


def check_format(folder: Path) -> None:
    """Check that a run folder has the format of this version of avssl.

    Raises:
        InputError: it is older or newer, or its config is broken; see `read_config`.
    """
    check_version(folder, _read(folder / CONFIG).get("format"), FORMAT)


def _read(path: Path) -> dict[str, Any]:
    found = OmegaConf.to_container(read_yaml(path, "the config of a run"))
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a mapping of config keys, got a {type(found).__name__}")
    return {str(key): value for key, value in found.items()}


def read_metrics(folder: Path) -> dict[str, float]:
    """Metrics of a run so far; empty where the file is missing.

    Raises:
        InputError: the file is not a flat mapping of names to numbers.
    """
    path = folder / METRICS
    if not path.exists():
        return {}
    found = read_json(path, "a flat JSON object of numbers")
    try:
        return {str(name): float(value) for name, value in found.items()}
    except (ValueError, AttributeError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: expected a flat JSON object of numbers: {error}") from error


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested keys to `a.b`; empty mappings are left out."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {} if value == {} else {f"{prefix}{key}": value}
    return found
