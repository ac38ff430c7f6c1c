"""YAML files that a user names: recipes and configs of runs, read up to a bound."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from avssl.errors import InputError
from avssl.regular_files import MIB, read_text

MAX_YAML = MIB
"""Bytes of a YAML file; a recipe has a thousandth of it."""
MAX_NODES = 100_000
"""Keys and values of a YAML file, those behind aliases counted as often as they are used."""


def read_yaml(path: Path, expected: str) -> Any:
    """Content of a YAML file as an OmegaConf config.

    Args:
        path: the file, or a link to it.
        expected: content, such as `a recipe`, for the error.

    Raises:
        InputError: not YAML, nested too deep, or over a bound; see `read_text`.
        OSError: it cannot be read.
    """
    text = read_text(path, expected, MAX_YAML)
    try:
        count = _count(yaml.compose(text), {})
        found: Any = OmegaConf.load(StringIO(text)) if count <= MAX_NODES else None
    except Exception as error:  # YAML and OmegaConf have a dozen kinds
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path}: expected {expected} in YAML, cannot be read: {reason}") from error
    if found is None:
        raise InputError(f"{path}: expected {expected} of {MAX_NODES} values at most, got {count:.0e} through aliases")
    return found


def _count(node: yaml.Node | None, counted: dict[int, float]) -> float:
    """Nodes below a node, expanded: aliases of aliases of aliases grow exponentially."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in counted:
        counted[id(node)] = float("inf")  # an alias of itself has no end
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(None, each) for each in node.value]
        counted[id(node)] = 1 + sum(_count(part, counted) for pair in pairs for part in pair)
    return counted[id(node)]
