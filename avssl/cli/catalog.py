"""`avssl list`: installed plug-ins, input features and shipped recipes, each with a line of description."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten

import click

from avssl import plugins
from avssl.cli.examples import example

GROUPS = {
    "tasks": plugins.TASKS,
    "downstream heads": plugins.HEADS,
    "generators of spatial audio": plugins.GENERATORS,
    "synthetic datasets": plugins.SYNTHETIC_DATASETS,
    "dataset layouts": plugins.LAYOUTS,
    "pretrained encoders": plugins.ENCODERS,
    "fitted heads": plugins.FITTED_HEADS,
}
"""Title -> entry-point group."""
WIDTH = 100
"""Characters of a description."""


@click.command(name="list", epilog=example("avssl list"))
def list_installed() -> None:
    """List tasks, heads, generators, pretrained encoders, fitted heads, features, datasets, layouts and recipes.

    A plug-in that cannot be read is listed with its error.
    """
    from avssl.config import FEATURES
    from avssl.recipe_files import shipped_recipes

    for title, group in GROUPS.items():
        _write(title, {name: first_line(group, name) or owner for name, owner in plugins.names(group).items()})
    _write("input features", FEATURES)
    _write("recipes", {name: recipe_line(name) for name in shipped_recipes()})


def first_line(group: str, name: str) -> str:
    """First line of the docstring of a plug-in, read from its source; only without source is it imported.

    Returns:
        Empty where there is no docstring; the error of a plug-in that fails.
    """
    try:
        entry = plugins.find_entry(group, name)
        text = _docstring(entry.module, entry.attr)
        text = text if text is not None else getattr(plugins.load(group, name), "__doc__", None)
    except Exception as error:  # whatever a plug-in raises on import concerns that plug-in
        text = f"error: {' '.join(str(error).split())}"
    return (text or "").strip().split("\n", maxsplit=1)[0]


def recipe_line(name: str) -> str:
    """A recipe's first sentence: that of the comment at its top, else its title."""
    from avssl.recipe_files import recipe_path

    lines = recipe_path(name).read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in _while_comment(lines))
    title = next((line.removeprefix("title:").strip() for line in lines if line.startswith("title:")), "")
    return comment.split(". ")[0].rstrip(".") or title


def _while_comment(lines: list[str]) -> list[str]:
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def _docstring(module: str, name: str, seen: frozenset[str] = frozenset()) -> str | None:
    """Docstring of a class or function in a module's source, through `from x import name`; None if it is not found."""
    path = plugins.source_file(module)
    if path is None or module in seen:
        return None
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _docstring(_absolute(module, path, node), alias.name, seen | {module})
    return None


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements of a module, those under `if TYPE_CHECKING` too."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


def _absolute(module: str, path: Path, node: ast.ImportFrom) -> str:
    """The module that an import statement names, relative or not."""
    if not node.level:
        return str(node.module)
    parts = module.split(".")
    package = parts[: len(parts) - node.level + (path.name == "__init__.py")]
    return ".".join([*package, str(node.module)])


def _write(title: str, lines: dict[str, str]) -> None:
    if lines:
        click.echo(f"{title}:")
        width = max(20, *map(len, lines))
        for name, text in lines.items():
            click.echo(f"  {name:{width}}  {shorten(text, WIDTH, placeholder='…')}".rstrip())
