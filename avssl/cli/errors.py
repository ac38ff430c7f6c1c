"""Exit codes of the command line: one line and code 2 for user input, a traceback and code 1 for every bug."""

from __future__ import annotations

import os
import warnings
from typing import Any

import click

from avssl.errors import is_input_error, one_line

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""


class UserError(click.ClickException):
    """Invalid user input: one line, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands report invalid user input in one line; `AVSSL_DEBUG=1` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `InputError`, the system's `OSError`, Ctrl-C and warnings become one line each."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            click.echo("Stopped: what is complete stays, nothing is half-written.", err=True)
            raise SystemExit(STOPPED) from None
        except Exception as error:
            if not is_input_error(error) or os.environ.get("AVSSL_DEBUG"):
                raise
            raise UserError(one_line(error)) from error


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {' '.join(str(message).split())}", err=True)
