"""What users got wrong, in one line and exit code 2."""

from __future__ import annotations

import os
import warnings
from typing import Any

import click

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""


class UserError(click.ClickException):
    """What a user gave cannot be worked with: one line, exit code 2."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands report what users got wrong in one line; `AVSSL_DEBUG=1` shows the traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `ValueError`, `OSError`, Ctrl-C and warnings become one line each."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            click.echo("Stopped: what is complete stays, nothing is half-written.", err=True)
            raise SystemExit(STOPPED) from None
        except (ValueError, OSError) as error:
            if os.environ.get("AVSSL_DEBUG"):
                raise
            raise UserError(_line(error)) from error


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {' '.join(str(message).split())}", err=True)


def _line(error: ValueError | OSError) -> str:
    """One line that says what went wrong, and where."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())
