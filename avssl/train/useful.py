"""The clips of a manifest that a task can learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from avssl.data.manifest import Manifest, Row


class Choosy(Protocol):
    """What refuses clips: a task, or another network that is trained on them."""

    def refuses(self, row: Row) -> str:
        """Why a clip is of no use; empty if it is."""
        ...


def useful(manifest: Manifest, task: Choosy, say: Callable[[str], object]) -> Manifest:
    """The rows that the task does not refuse; how many it does, and why, is said in a line a reason.

    Args:
        manifest: the clips.
        task: its `refuses` judges each row.
        say: takes a line.

    Raises:
        ValueError: it refuses all of them.
    """
    judged = [(row, task.refuses(row)) for row in manifest]
    reasons = Counter(reason for _, reason in judged if reason)
    kept = tuple(row for row, reason in judged if not reason)
    if not kept:
        reason, times = reasons.most_common(1)[0]
        raise ValueError(f"{manifest.root}: no clip is of use to this task; {times} of {len(manifest)}: {reason}")
    for reason, times in reasons.most_common():
        say(f"{manifest.root}: {times} of {len(manifest)} clips are left out: {reason}")
    return replace(manifest, rows=kept)
