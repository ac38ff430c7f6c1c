"""The clips of a manifest that a task can learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import track
from torch import Tensor

from avssl.data.manifest import Manifest, Row
from avssl.data.media import read_sound
from avssl.errors import InputError

HEARD = 96
"""Clips that are heard, spread over the manifest; all of them where one of these is of no use."""


class Choosy(Protocol):
    """What refuses clips: a task, or another network that is trained on them."""

    def refuses(self, row: Row) -> str:
        """Why a clip is of no use; empty if it is."""
        ...


def useful(manifest: Manifest, task: Choosy, say: Callable[[str], object]) -> Manifest:
    """The rows that the task does not refuse; how many it does, and why, is said in a line a reason.

    Args:
        manifest: the clips.
        task: its `refuses` judges each row, and its `refuses_sound`, if it has one, what clips sound like.
        say: takes a line.

    Raises:
        InputError: it refuses all of them, or one that is heard is broken.
    """
    refused = {row.key: reason for row in manifest if (reason := task.refuses(row))}
    if hear := getattr(task, "refuses_sound", None):
        refused |= _heard([row for row in manifest if row.key not in refused], manifest.root, hear)
    kept = tuple(row for row in manifest if row.key not in refused)
    reasons = Counter(refused.values())
    if not kept:
        reason, times = reasons.most_common(1)[0]
        raise InputError(f"{manifest.root}: no clip is of use to this task; {times} of {len(manifest)}: {reason}")
    for reason, times in reasons.most_common():
        say(f"{manifest.root}: {times} of {len(manifest)} clips are left out: {reason}")
    return replace(manifest, rows=kept)


def _heard(rows: Sequence[Row], root: Path, hear: Callable[[Tensor], str]) -> dict[str, str]:
    """Key -> why the clip's sound is of no use."""
    some = rows[:: max(1, -(-len(rows) // HEARD))]
    found = _reasons(some, root, hear)
    return _reasons(rows, root, hear) if found and len(some) < len(rows) else found


def _reasons(rows: Sequence[Row], root: Path, hear: Callable[[Tensor], str]) -> dict[str, str]:
    console = Console(stderr=True)
    shown = track(rows, "hearing clips", console=console, transient=True, disable=not console.is_terminal)
    heard = ((row.key, hear(read_sound(root / row.sound, row.start, row.seconds)[0])) for row in shown)
    return {key: reason for key, reason in heard if reason}
