"""Config fields with declared values: choices, names of plug-ins, and options of plug-ins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import Field, field
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from avssl import plugins


class OptionsPlugin(NamedTuple):
    """Plug-in whose `Options` fill a config field."""

    group: str
    """Entry-point group."""
    key: str = ""
    """Key beside the field, whose value names the plug-in."""
    name: str = ""
    """Name of the plug-in, where no key chooses it."""
    optional: bool = False
    """Whether `enabled: false` among the options leaves the plug-in out."""


def choice(default: str | Sequence[str], known: Iterable[str]) -> Any:
    """A config field whose value is one of some names, or a list of such; see `avssl.config.check_choices`.

    Args:
        default: a name, or a list of names.
        known: all names; an empty one may stand among them for none.
    """
    metadata = {"choices": tuple(known)}
    if isinstance(default, str):
        return field(default=default, metadata=metadata)
    return field(default_factory=lambda: list(default), metadata=metadata)


def plugin_name(default: str, group: str, besides: Sequence[str] = ()) -> Any:
    """A config field whose value names an installed plug-in; see `avssl.config.check_choices`.

    Args:
        default: a name.
        group: entry-point group.
        besides: further values, which name no plug-in.
    """
    return field(default=default, metadata={"group": group, "choices": tuple(besides)})


def plugin_options(group: str, *, key: str = "", name: str = "", optional: bool = False) -> Any:
    """A config field, a mapping, that fills the `Options` of a plug-in, such as a task.

    Args:
        group: entry-point group.
        key: of the config, whose value names the plug-in.
        name: of the plug-in, where no key chooses it.
        optional: `enabled: false` leaves the plug-in out.
    """
    return field(default_factory=dict, metadata={"plugin": OptionsPlugin(group, key, name, optional)})


def options_plugin(found: Field[Any]) -> OptionsPlugin | None:
    """The plug-in whose `Options` a config field fills, or None."""
    plugin: OptionsPlugin | None = found.metadata.get("plugin")
    return plugin


def choices(found: Field[Any], kind: Any) -> tuple[str, ...]:
    """Allowed values of a config field, from `choice`, `plugin_name`, a Literal or an Enum; empty: any.

    Args:
        found: the field.
        kind: its type.
    """
    if get_origin(kind) is Literal:
        return tuple(str(each) for each in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(each.name for each in kind)
    group = found.metadata.get("group")
    return (*found.metadata.get("choices", ()), *(plugins.names(group) if group else ()))
