"""The extra `avssl[web]`, for commands that serve pages."""

from __future__ import annotations

from importlib.util import find_spec

import click

from avssl.cli.error_handling import UserError

PACKAGES = ("starlette", "uvicorn")
BROWSER = click.option(
    "--browser/--no-browser", default=True, show_default=True, help="Open the page, or print its address."
)
"""Option of all commands that serve a page."""


def require_web(command: str) -> None:
    """Check that the packages of the extra are installed, before a command imports `avssl.web`.

    Args:
        command: name of the command, for the error.

    Raises:
        UserError: one is missing.
    """
    if missing := [each for each in PACKAGES if find_spec(each) is None]:
        raise UserError(
            f"avssl {command}: expected {' and '.join(missing)}; install them with pip install 'avssl[web]'"
        )
