"""YAML files that a user names: recipes and configs of runs, read up to a bound."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from avssl.errors import InputError, excerpt
from avssl.regular_files import MIB, read_text

MAX_YAML = MIB
"""Bytes of a YAML file; a recipe has a thousandth of it."""
MAX_NODES = 100_000
"""Keys and values of a YAML file, those behind aliases counted as often as they are used."""
MAX_DEPTH = 32
"""Mappings and lists inside one another."""


def read_yaml(path: Path, expected: str) -> Any:
    """Content of a YAML file as an OmegaConf config.

    The text is parsed as a stream first, so that nothing is made of a file beyond the bounds.

    Args:
        path: the file, or a link to it.
        expected: content, such as `a recipe`, for the error.

    Raises:
        InputError: not YAML, beyond `MAX_YAML`, `MAX_NODES` or `MAX_DEPTH`, or a value that contains itself.
        OSError: it cannot be read.
    """
    text = read_text(path, expected, MAX_YAML)
    try:
        _check_bounds(text)
        return OmegaConf.load(StringIO(text))
    except InputError as error:
        raise InputError(f"{path}: expected {expected} {error}") from error
    except Exception as error:  # YAML and OmegaConf have a dozen kinds
        raise InputError(f"{path}: expected {expected} in YAML, cannot be read: {excerpt(error)}") from error


def _check_bounds(text: str) -> None:
    counter = _Counter()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        counter.add(event)


class _Counter:
    """Values and depth of a stream of YAML events; an alias counts as often as the values that it repeats."""

    def __init__(self) -> None:
        self.total = 0
        self.open: list[tuple[str | None, int]] = []
        self.anchored: dict[str, int] = {}

    def add(self, event: yaml.Event) -> None:
        """Count one event.

        Raises:
            InputError: a bound is passed, or an alias stands inside its own value.
        """
        if isinstance(event, yaml.AliasEvent):
            self._repeat(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            self._remember(anchor, before)
        elif isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.CollectionStartEvent):
                self.open.append((event.anchor, self.total))
            else:
                self._remember(event.anchor, self.total - 1)
            self.total += 1
        if len(self.open) > MAX_DEPTH:
            raise InputError(f"with values {MAX_DEPTH} deep at most, got deeper ones")
        if self.total > MAX_NODES:
            raise InputError(f"of {MAX_NODES} values at most, got more")

    def _remember(self, anchor: str | None, before: int) -> None:
        if anchor:
            self.anchored[anchor] = self.total - before

    def _repeat(self, anchor: str) -> None:
        if any(anchor == each for each, _ in self.open):
            raise InputError(f"whose values end, got *{excerpt(anchor)} inside itself")
        self.total += self.anchored.get(anchor, 1)
