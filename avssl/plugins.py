"""Tasks and heads are plug-ins, found through entry points; nothing is imported before it is asked for."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from avssl.errors import InputError

TASKS = "avssl.tasks"
HEADS = "avssl.downstream"


def names(group: str) -> dict[str, str]:
    """Installed plug-ins of a group and the distribution each comes from; imports none of them."""
    return {entry.name: entry.dist.name if entry.dist else "?" for entry in sorted(entry_points(group=group))}


def load(group: str, name: str) -> Any:
    """Import the class registered under a name.

    Raises:
        InputError: nothing, or more than one distribution, is registered under `name`, or its import fails.
    """
    found = _distinct(entry_points(group=group, name=name))
    if not found:
        raise InputError(
            f"no {group} plug-in named {name!r}; installed: {', '.join(names(group))}{hint(name, names(group))}"
        )
    if len(found) > 1:
        owners = " and ".join(sorted(entry.dist.name if entry.dist else "?" for entry in found))
        raise InputError(f"{group} plug-in {name!r} is registered by both {owners}; uninstall one")
    try:
        return found[0].load()
    except Exception as error:
        raise InputError(f"{group} plug-in {name!r} ({found[0].value}) does not import: {error!r}") from error


def hint(name: str, known: Any) -> str:
    """A "did you mean" for a name near one of the known ones, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _distinct(entries: Any) -> list[EntryPoint]:
    """Entry points without those listed twice because a distribution is on the path twice."""
    return list({(entry.value, entry.dist.name if entry.dist else "?"): entry for entry in entries}.values())
