"""Labelled data sets: which file shows or sounds what, and who is tested on what."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.io.atomic import write_text


@dataclass(frozen=True)
class Example:
    """One file, or a stretch of it, and what it shows."""

    key: str
    """Names the example; its path relative to the data set, with `#SECONDS` where it is a stretch."""
    label: str
    """One of the set's classes."""
    video: str = ""
    """Path of the pictures, relative to the data set; nothing where there are none."""
    audio: str = ""
    """Path of the sound, relative to the data set; may be the video's; nothing where there is none."""
    start: float = 0.0
    """Seconds from the beginning of these files to the example's."""
    seconds: float = 0.0
    """Length; 0: to the end of the file."""
    group: str = ""
    """The recording or place that it was taken from: no group is both trained on and tested."""


@dataclass(frozen=True)
class Fold:
    """Who is trained on, and who is tested."""

    name: str
    train: tuple[str, ...]
    """Keys."""
    test: tuple[str, ...]
    """Keys."""


@dataclass(frozen=True)
class Labelled:
    """A labelled data set."""

    name: str
    """What results are labelled with; of a made-up world, it says so."""
    root: Path
    """Paths start here."""
    classes: tuple[str, ...]
    """In the order of the data set's own index."""
    examples: tuple[Example, ...]
    """Each key once."""
    folds: tuple[Fold, ...]
    missing: tuple[str, ...] = ()
    """What the lists name and the disk lacks."""

    def save(self, path: Path) -> None:
        """Write all to a JSON file, whole or not at all."""
        write_text(path, json.dumps(asdict(self) | {"root": str(self.root)}, indent=0))

    @classmethod
    def load(cls, path: Path) -> Labelled:
        """What `save` wrote.

        Raises:
            InputError: the file holds something else.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                found["name"],
                Path(found["root"]),
                tuple(found["classes"]),
                tuple(Example(**each) for each in found["examples"]),
                tuple(Fold(each["name"], tuple(each["train"]), tuple(each["test"])) for each in found["folds"]),
                tuple(found["missing"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected a labelled data set: {error!r}") from error


def check_missing(found: Labelled, share: float, lists: str) -> None:
    """Refuse a data set that lacks too much of what its lists name.

    Args:
        found: what the lists name and the disk holds.
        share: of the files named, so many may be missing.
        lists: where they are named, for the message.

    Raises:
        InputError: more are missing.
    """
    named = len(found.examples) + len(found.missing)
    if len(found.missing) > share * named:
        enough = math.ceil(100 * len(found.missing) / named) / 100
        raise InputError(
            f"{lists}: names {named} files, {len(found.missing)} are missing below {found.root}, "
            f"the first is {found.missing[0]!r}; --missing {enough:.2f} would go on without them"
        )


def by_groups(name: str, examples: Sequence[Example], tested: set[str]) -> Fold:
    """A fold that tests the examples of these groups and trains on all others."""
    train = tuple(each.key for each in examples if each.group not in tested)
    return Fold(name, train, tuple(each.key for each in examples if each.group in tested))
