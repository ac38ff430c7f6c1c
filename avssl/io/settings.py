"""Comparison of the settings that an output was written with and those of a new run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avssl.errors import InputError


def require_same(
    path: Path,
    written: Mapping[str, Any],
    wanted: Mapping[str, Any],
    advice: str,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Refuse to go on with other settings than those that an output was written with.

    Every setting of either side counts; one that a side lacks has its default there.

    Args:
        path: the output, for the error.
        written: its settings.
        wanted: those of the new run.
        advice: what the user can do, for the error.
        defaults: values of settings that a side may lack; None for those that are not named.

    Raises:
        InputError: a setting differs.
    """
    base = dict(defaults or {})
    before, now = base | dict(written), base | dict(wanted)
    for name in [*now, *(each for each in before if each not in now)]:
        was, value = before.get(name), now.get(name)
        if was != value:
            raise InputError(f"{path}: expected {name} {was!r}, which it was written with, got {value!r}; {advice}")
