"""What a run folder says of its run: the settings it was asked for and the numbers that came out. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.errors import InputError
from avssl.io.format_version import check_version

CONFIG = "config.yaml"
METRICS = "metrics.json"
FORMAT = 2
"""Of run folders and their checkpoints; 1, which stated none, had other keys."""


def read_config(folder: Path) -> dict[str, Any]:
    """The settings of a run, nested as in the file, whose keys may be those of another version.

    Raises:
        InputError: the file is not YAML, or no mapping of keys.
        OSError: it cannot be read.
    """
    return {key: value for key, value in _read(folder / CONFIG).items() if key != "format"}


def check_format(folder: Path) -> None:
    """See that a run folder has the format of this avssl; only then can the run be continued.

    Raises:
        InputError: it is older or newer, or its config is broken; see `read_config`.
    """
    check_version(folder, _read(folder / CONFIG).get("format"), FORMAT)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = OmegaConf.to_container(OmegaConf.load(path))
    except OSError:
        raise
    except Exception as error:  # YAML and OmegaConf have a dozen kinds
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path}: not the config of a run: {reason}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: not the config of a run: expected a mapping of keys, it is a {type(found).__name__}")
    return {str(key): value for key, value in found.items()}


def read_metrics(folder: Path) -> dict[str, float]:
    """The numbers of a run so far; none where the file is missing.

    Raises:
        InputError: the file is no flat mapping of names to numbers.
    """
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        return {str(name): float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: expected a flat JSON object of numbers: {error}") from error


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys as `a.b`; empty mappings say nothing."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {} if value == {} else {f"{prefix}{key}": value}
    return found
