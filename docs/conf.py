"""Sphinx configuration: MyST pages, and the API from docstrings."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "avssl"
author = "the avssl authors"
copyright = "the avssl authors, Apache-2.0"
release = version = installed_version("avssl")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "config_table",
]
exclude_patterns = ["_build", "api/*/modules.rst"]
html_theme = "furo"
html_title = "avssl"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings put code between single backticks, as Markdown does.
default_role = "code"
# The annotation `type` is ambiguous to Sphinx where classes have a field of that name.
suppress_warnings = ["ref.python"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
# Both read the source of every function: two thirds of the time of a build.
autodoc_preserve_defaults = False
autodoc_use_type_comments = False
# Names that a package re-exports are documented where they are defined.
autodoc_default_options = {"ignore-module-all": True}

apidoc_modules = [
    {
        "path": str(path),
        "destination": f"api/{path.name}",
        "module_first": True,
        "exclude_patterns": ["**/bench/**", "**/cli/**"],
        "automodule_options": {"members", "show-inheritance"},
    }
    for path in (HERE.parent / "avssl", HERE.parent / "tasks/avssl_tasks", HERE.parent / "downstream/avssl_downstream")
]


def setup(app: Sphinx) -> None:
    """Keep docstrings of fields as they are: napoleon reads `text: more` there as a type and its description."""
    texts: dict[str, list[str]] = {}

    def keep(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        if what in ("attribute", "data", "property"):
            texts[name] = list(lines)

    def restore(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        lines[:] = texts.pop(name, lines)

    app.connect("autodoc-process-docstring", keep, priority=100)
    app.connect("autodoc-process-docstring", restore, priority=900)
