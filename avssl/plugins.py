"""Plug-ins, found through entry points: tasks, heads, generators, layouts, synthetic datasets; imported on request."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

T = TypeVar("T")
TASKS = "avssl.tasks"
HEADS = "avssl.downstream"
GENERATORS = "avssl.generators"
LAYOUTS = "avssl.layouts"
SYNTHETIC_DATASETS = "avssl.worlds"
KINDS = {
    TASKS: "pretext task",
    HEADS: "downstream head",
    GENERATORS: "generator",
    LAYOUTS: "layout",
    SYNTHETIC_DATASETS: "synthetic dataset",
}
"""Entry-point group -> noun for messages and `avssl list`."""


def names(group: str) -> dict[str, str]:
    """Installed plug-ins of a group and the distribution each comes from; imports none of them."""
    return {entry.name: entry.dist.name if entry.dist else "?" for entry in sorted(entry_points(group=group))}


def load(group: str, name: str) -> Any:
    """Import the class registered under a name.

    Raises:
        ValueError: nothing, or more than one distribution, is registered under `name`, or its import fails.
    """
    check_installed(group, name)
    found = _distinct(entry_points(group=group, name=name))
    if len(found) > 1:
        owners = " and ".join(sorted(entry.dist.name if entry.dist else "?" for entry in found))
        raise ValueError(f"{KINDS[group]} {name!r} is registered by both {owners}; uninstall one")
    try:
        return found[0].load()
    except Exception as error:
        raise ValueError(f"{KINDS[group]} {name!r} ({found[0].value}) does not import: {error!r}") from error


def load_subclass(group: str, name: str, contract: type[T]) -> type[T]:
    """Import the class registered under a name, and see that it inherits from the contract of its group.

    Args:
        group: entry-point group.
        name: of the plug-in.
        contract: base class.

    Raises:
        ValueError: see `load`; or it is no subclass.
    """
    kind = load(group, name)
    if not (isinstance(kind, type) and issubclass(kind, contract)):
        expected = f"{contract.__module__}.{contract.__qualname__}"
        raise ValueError(f"{KINDS[group]} {name!r}: expected a subclass of {expected}, got {kind!r}")
    return kind


def check_installed(group: str, name: str) -> None:
    """See that a name is registered; imports nothing.

    Raises:
        ValueError: it is not; the error lists all that are.
    """
    known = names(group)
    if name not in known:
        raise ValueError(f"no {KINDS[group]} named {name!r}{hint(name, known)}; installed: {', '.join(known)}")


def hint(name: str, known: Any) -> str:
    """A "did you mean" for a name near one of the known ones, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _distinct(entries: Any) -> list[EntryPoint]:
    """Entry points without those listed twice because a distribution is on the path twice."""
    return list({(entry.value, entry.dist.name if entry.dist else "?"): entry for entry in entries}.values())
