"""Checks of config values: names, ranges, signs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from avssl import plugins
from avssl.errors import InputError, excerpt
from avssl.plugins import hint


def check_choice(key: str, value: str, known: Sequence[str]) -> None:
    """See that a name is one of those known.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        shown = excerpt(value)
        raise InputError(f"{key} is {', '.join(filter(None, known))}, not {shown!r}{hint(shown, known)}")


def check_choices(config: Any, section: str = "") -> None:
    """See that each field made by `choice` or `plugin_name` has one of its names, or a list of them.

    Args:
        config: an instance of a config dataclass.
        section: its place, for errors.

    Raises:
        InputError: a field has another value.
    """
    for each in fields(config):
        known = each.metadata.get("choices", ())
        value = getattr(config, each.name)
        if group := each.metadata.get("group"):
            if value not in known:
                plugins.check_installed(group, value)
            continue
        for name in ([value] if isinstance(value, str) else value) if known else ():
            check_choice(f"{section}.{each.name}".lstrip("."), name, known)


def check_range(section: str, name: str, value: float, least: float, most: float) -> None:
    """See that a number lies in a range, ends included.

    Raises:
        InputError: it does not.
    """
    if not least <= value <= most:
        raise InputError(f"{section}.{name} is from {least:g} to {most:g}, not {value}")


def check_positive(section: str, name: str, value: float) -> None:
    """See that a number is positive and finite.

    Raises:
        InputError: it is not.
    """
    if not 0 < value < math.inf:
        raise InputError(f"{section}.{name} must be positive and finite, not {value}")


def check_not_negative(section: str, name: str, value: float) -> None:
    """See that a number is at least 0 and finite.

    Raises:
        InputError: it is not.
    """
    if not 0 <= value < math.inf:
        raise InputError(f"{section}.{name} must not be negative or infinite, it is {value}")
