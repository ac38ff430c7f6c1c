"""Plug-in discovery by entry points: tasks, heads, generators, layouts, datasets, ...; imports are lazy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from avssl.errors import InputError, excerpt

T = TypeVar("T")
FEW, NEAREST = 16, 5
"""Names up to which an error lists all of them, and the number of the nearest ones otherwise."""
TASKS = "avssl.tasks"
HEADS = "avssl.downstream"
GENERATORS = "avssl.generators"
LAYOUTS = "avssl.layouts"
SYNTHETIC_DATASETS = "avssl.worlds"
BENCHMARKS = "avssl.benchmarks"
ENCODERS = "avssl.encoders"
FITTED_HEADS = "avssl.heads"
KINDS = {
    TASKS: "pretext task",
    HEADS: "downstream head",
    GENERATORS: "generator",
    LAYOUTS: "layout",
    SYNTHETIC_DATASETS: "synthetic dataset",
    BENCHMARKS: "benchmark",
    ENCODERS: "pretrained encoders",
    FITTED_HEADS: "fitted head",
}
"""Entry-point group -> noun for messages and `avssl list`."""


def names(group: str) -> dict[str, str]:
    """Installed plug-ins of a group, name -> distribution, without importing them.

    A fitted head of avssl itself is installed where the package of its weights is there.
    """
    found = {entry.name: entry.dist.name if entry.dist else "?" for entry in sorted(entry_points(group=group))}
    if group != FITTED_HEADS:
        return found
    return {name: owner for name, owner in found.items() if owner != "avssl" or _is_there(group, name)}


def load(group: str, name: str) -> Any:
    """Import the class registered under a name.

    Raises:
        InputError: nothing, or more than one distribution, is registered under `name`, or it needs a
            package that is not installed. Any other exception of its import is a bug of the plug-in, and is passed on.
    """
    entry = find_entry(group, name)
    with _naming(entry):
        return _load(entry)


def load_subclass(group: str, name: str, contract: type[T]) -> type[T]:
    """Import the class registered under a name, and check its base class.

    Args:
        group: entry-point group.
        name: name of the plug-in.
        contract: base class.

    Raises:
        InputError: see `load`; or not a subclass.
    """
    kind = load(group, name)
    if not (isinstance(kind, type) and issubclass(kind, contract)):
        expected = f"{contract.__module__}.{contract.__qualname__}"
        raise InputError(f"{KINDS[group]} {name!r}: expected a subclass of {expected}, got {kind!r}")
    return kind


def load_options(group: str, name: str) -> type:
    """`Options` of a plug-in, without importing the plug-in if its options have a separate module.

    For the entry point `MODULE:NAME`, that is `MODULE.options` or `MODULE_options` with a class `NAMEOptions`.

    Raises:
        InputError: see `load`; or the plug-in has no `Options`.
    """
    entry = find_entry(group, name)
    with _naming(entry):
        for module in (f"{entry.module}.options", f"{entry.module}_options"):
            if source_file(module):
                options = getattr(import_module(module), f"{entry.attr}Options", None)
                if isinstance(options, type):
                    return options
        declared: type = _load(entry).Options
        return declared


def find_entry(group: str, name: str) -> EntryPoint:
    """Entry point of a plug-in, without importing it.

    Raises:
        InputError: nothing, or more than one distribution, is registered under `name`.
    """
    check_installed(group, name)
    entries = _distinct(entry_points(group=group, name=name))
    if len(entries) > 1:
        owners = " and ".join(sorted(entry.dist.name if entry.dist else "?" for entry in entries))
        raise InputError(f"{KINDS[group]} {name!r} is registered by both {owners}; uninstall one")
    return entries[0]


def source_file(module: str) -> Path | None:
    """Source file of a module, without importing it or its packages; None if not found."""
    top, *inner = module.split(".")
    spec = find_spec(top)
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in (Path(folder, *inner).with_suffix(".py"), Path(folder, *inner, "__init__.py")):
            if path.is_file():
                return path
    return Path(spec.origin) if spec and spec.origin and not inner else None


def _load(entry: EntryPoint) -> Any:
    import_module(entry.module)
    try:
        return entry.load()
    except AttributeError as error:  # installed from another version, the attribute no longer exists
        raise ImportError(str(error)) from error


@contextmanager
def _naming(entry: EntryPoint) -> Iterator[None]:
    """Add the plug-in to import errors: `InputError` for a missing package, a note for any other exception."""
    where = f"{KINDS.get(entry.group, entry.group)} {entry.name!r} ({entry.value}) does not import"
    try:
        yield
    except ImportError as error:
        raise InputError(f"{where}: {error!r}") from error
    except Exception as error:
        error.add_note(where)
        raise


def check_installed(group: str, name: str) -> None:
    """Check that a name is registered, without imports.

    Raises:
        InputError: not registered; the error lists all names.
    """
    if name not in names(group):
        raise InputError(unknown_name(group, name))


def unknown_name(group: str, name: str) -> str:
    """Error message for an unknown plug-in name."""
    known, shown = names(group), excerpt(name)
    return f"no {KINDS[group]} named {shown!r}{hint(shown, known)}; installed: {nearest(shown, known)}"


def hint(name: str, known: Any) -> str:
    """Suggestion "did you mean" with the closest known name, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """Known names for an error: all of a few, else those nearest to `name` and how many there are.

    Example:
        >>> nearest("x30", [f"x{number}" for number in range(50)])
        'x30, x3, x0, x43, x40 and 45 more'
    """
    names = list(known)
    if len(names) <= FEW:
        return ", ".join(names)
    near = difflib.get_close_matches(name, names, n=NEAREST, cutoff=0.0)
    return f"{', '.join(near)} and {len(names) - len(near)} more"


def _is_there(group: str, name: str) -> bool:
    """Whether the module of every entry point of a name is there."""
    return all(source_file(entry.module) for entry in entry_points(group=group, name=name))


def _distinct(entries: Any) -> list[EntryPoint]:
    """Entry points without duplicates, which arise if a distribution is on the path twice."""
    return list({(entry.value, entry.dist.name if entry.dist else "?"): entry for entry in entries}.values())
