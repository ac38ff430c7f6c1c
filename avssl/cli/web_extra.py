"""The extra `avssl[web]`, for commands that serve pages."""

from __future__ import annotations

from importlib.util import find_spec

from avssl.cli.error_handling import UserError

PACKAGES = ("starlette", "uvicorn")


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
