"""Mistakes of users as one line and exit code 2."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from avssl.cli.plain_streams import make_streams_plain
from avssl.errors import is_input_error, one_line
from avssl.io.interrupts import exit_code, interrupt_on_signals
from avssl.io.ranks import world_size
from avssl.plugins import hint
from avssl.printable_text import printable
from avssl.renamed import COMMANDS, renamed_key


class UserError(click.ClickException):
    """Input of a user that cannot be worked with: one line, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Commands(click.Group):
    """A group whose commands report mistakes of users in one line; `AVSSL_DEBUG=1` shows the traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; output that a terminal or file cannot encode is replaced, not a failure."""
        make_streams_plain()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; usage errors, `InputError`, the system's `OSError`, signals, warnings: a line each."""
        try:
            with warnings.catch_warnings(), _signals(ctx):
                warnings.showwarning = _show
                return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise UserError(_usage(error)) from error
        except KeyboardInterrupt as error:
            with suppress(OSError):  # of a terminal that was closed
                click.echo("Stopped: what is complete stays, nothing is half-written.", err=True)
            raise SystemExit(exit_code(error)) from None
        except Exception as error:
            if not is_input_error(error) or os.environ.get("AVSSL_DEBUG"):
                raise
            raise UserError(one_line(error)) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            UserError: there is none; the message says the new name of a renamed one, or a name that is near.
        """
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            path = " ".join([*ctx.command_path.split()[1:], args[0]])
            if path in COMMANDS:
                raise UserError(f"`avssl {path}` is now `avssl {COMMANDS[path]}`")
            raise UserError(self.unknown(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def unknown(self, ctx: click.Context, name: str) -> str:
        """The error for a name that no command has."""
        known = self.list_commands(ctx)
        return f"no command {name!r}{hint(name, known)}; commands: {', '.join(known)}"


def _signals(ctx: click.Context) -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP end the outermost command as Ctrl-C does.

    Under torchrun they end a process at once: one that waits for the others would not come to handle them.
    """
    return interrupt_on_signals() if ctx.parent is None and world_size() == 1 else nullcontext()


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    logging.getLogger("avssl").warning("%s", " ".join(str(message).split()))


def _usage(error: click.UsageError) -> str:
    """One line for a command line that cannot be parsed."""
    where = f"; see `{error.ctx.command_path} --help`" if error.ctx else ""
    if isinstance(error, click.NoSuchOption) and error.ctx:
        known = [flag for each in error.ctx.command.get_params(error.ctx) for flag in each.opts]
        section, dot, name = error.option_name.lstrip("-").rpartition(".")
        keys = {flag.lstrip("-").rpartition(".")[2].replace("-", "_") for flag in known}
        if new := renamed_key(name.replace("-", "_"), keys):
            return f"{error.option_name} is now --{section}{dot}{new.replace('_', '-')}"
        return f"no option {error.option_name}{hint(error.option_name, known)}{where}"
    return " ".join(error.format_message().split()).rstrip(".") + where
