"""Directive `config-table`: every key of a config dataclass, from the fields that the command line is made of.

    ```{config-table} avssl.downstream spatialize
    :set: generator=asn
    :skip: generator_options.
    ```

The argument is an entry-point group and the name of a plug-in, or `MODULE:CLASS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from avssl import plugins
from avssl.cli.options import OptionField, default_text, option_fields

HEADER = ("key", "values", "default", "meaning")


class ConfigTable(SphinxDirective):
    """A table of keys, with their values, defaults and descriptions."""

    required_arguments = 1
    optional_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "set": directives.unchanged,
        "only": directives.unchanged,
        "skip": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """The table, parsed as Markdown."""
        chosen = dict(each.split("=", 1) for each in self.options.get("set", "").split())
        only, skip = (tuple(self.options.get(name, "").split()) for name in ("only", "skip"))
        found = option_fields(config_class(*self.arguments), chosen=lambda key: chosen.get(key, ""))
        rows = [
            _row(each) for each in found if each.key.startswith(only or "") and not (skip and each.key.startswith(skip))
        ]
        if not rows:
            raise self.error(f"expected keys of {self.arguments}, got none")
        return self.parse_text_to_nodes("\n".join([_line(HEADER), _line(["---"] * len(HEADER)), *map(_line, rows)]))


def config_class(name: str, plugin: str = "") -> type:
    """The options of an installed plug-in (`avssl.tasks`, `avsa`), or a class (`avssl.config:RunConfig`)."""
    if plugin:
        return plugins.load_options(name, plugin)
    module, _, attribute = name.partition(":")
    found: type = getattr(import_module(module), attribute)
    return found


def _row(field: OptionField) -> tuple[str, ...]:
    default = default_text(field.default)
    return f"`{field.key}`", f"`{field.value}`", f"`{default}`" if default else "", field.text


def _line(cells: Any) -> str:
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("config-table", ConfigTable)
    return {"version": "1", "parallel_read_safe": True}
