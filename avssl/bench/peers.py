"""Libraries that rows are compared with: those that are not installed have a row that says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from avssl.bench.case import Absent, Case, Row
from avssl.errors import first_line

PACKAGES = {"ultralytics": "avssl[detect]"}
"""Module -> what pip installs, where that is not of the module's name."""


def with_library(name: str, module: str, peer_name: str, rows: Callable[[Any], Sequence[Case]]) -> list[Row]:
    """Rows whose peer is a library, or a row that says that it is not installed.

    Args:
        name: of the row.
        module: to import.
        peer_name: of the peer.
        rows: makes the rows from the imported module.
    """
    try:
        library = import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        return [Absent(name, peer_name, f"not installed: pip install {PACKAGES.get(package, package)}")]
    except (ImportError, OSError, RuntimeError) as error:  # of a shared library that is missing or of another version
        return [Absent(name, peer_name, f"installed, does not load: {first_line(error)}")]
    return [*rows(library)]
