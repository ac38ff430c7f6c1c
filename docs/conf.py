"""Sphinx configuration: MyST pages, and the API from docstrings."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

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
    "config_table",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "avssl"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Docstrings put code between single backticks, as Markdown does.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases: dict[str, str] = {}

apidoc_modules = [
    {
        "path": str(path),
        "destination": f"api/{path.name}",
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
    for path in (HERE.parent / "avssl", HERE.parent / "tasks/avssl_tasks", HERE.parent / "downstream/avssl_downstream")
]
