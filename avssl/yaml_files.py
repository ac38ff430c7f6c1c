"""YAML files that a user names: bounded before anything is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from avssl.errors import InputError, excerpt
from avssl.regular_files import MIB, read_text

MAX_BYTES = MIB
"""Bytes of a YAML file; a recipe has two thousand."""
MAX_DEPTH = 32
"""Mappings and lists inside one another."""
MAX_VALUES = 100_000
"""Values of a file, those that aliases repeat included."""


def read_yaml(path: Path, expected: str = "YAML") -> Any:
    """Plain values of a YAML file: numbers, texts, lists, mappings.

    Args:
        path: the file.
        expected: content, for errors.

    Raises:
        InputError: not YAML, tags of Python objects, or beyond `MAX_BYTES`, `MAX_DEPTH` or `MAX_VALUES`.
        OSError: it cannot be read.
    """
    text = read_text(path, expected, MAX_BYTES)
    check_yaml(text, str(path), expected)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:  # ValueError: a date that is none
        raise InputError(f"{path}: expected {expected}, not valid YAML: {excerpt(error)}") from error


def check_yaml(text: str, where: str, expected: str = "YAML") -> None:
    """Check that a YAML text is within `MAX_DEPTH` and `MAX_VALUES`; it is parsed as a stream, and nothing is made.

    Args:
        text: the YAML.
        where: its origin, for errors.
        expected: content, for errors.

    Raises:
        InputError: it is beyond, or not YAML.
    """
    counter = _Counter(where)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            counter.add(event)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: expected {expected}, not valid YAML: {excerpt(error)}") from error


class _Counter:
    """Values and depth of a stream of YAML events; an alias counts as often as the values that it repeats."""

    def __init__(self, where: str) -> None:
        self.where, self.total = where, 0
        self.open: list[tuple[str | None, int]] = []
        self.anchored: dict[str, int] = {}

    def add(self, event: yaml.Event) -> None:
        """Count one event."""
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event.anchor, self.total))
            self.total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            if anchor:
                self.anchored[anchor] = self.total - before
        elif isinstance(event, yaml.AliasEvent):
            self._repeat(event.anchor)
        elif isinstance(event, yaml.ScalarEvent):
            self.total += 1
            if event.anchor:
                self.anchored[event.anchor] = 1
        if len(self.open) > MAX_DEPTH:
            raise InputError(f"{self.where}: expected values {MAX_DEPTH} deep at most, got deeper ones")
        if self.total > MAX_VALUES:
            raise InputError(f"{self.where}: expected {MAX_VALUES} values at most, got more")

    def _repeat(self, anchor: str) -> None:
        """Count an alias; one inside its own value has no end.

        Raises:
            InputError: it stands inside its own value.
        """
        if any(anchor == each for each, _ in self.open):
            raise InputError(f"{self.where}: expected values that end, *{excerpt(anchor)} stands inside itself")
        self.total += self.anchored.get(anchor, 1)
