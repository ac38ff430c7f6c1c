"""Click type of an installed plug-in's name."""

from __future__ import annotations

from typing import Any

import click

from avssl import plugins


class PluginName(click.ParamType):  # type: ignore[type-arg]
    """Name of an installed plug-in; imports none of them.

    Args:
        group: entry-point group, such as `avssl.layouts`.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.name = plugins.KINDS[group]

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All installed names, as `click.Choice` shows them."""
        return f"[{'|'.join(plugins.names(self.group))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself.

        Raises:
            InputError: it is not installed.
        """
        plugins.check_installed(self.group, value)
        return str(value)
