"""Messages of the logger `avssl` on standard error, as the command line shows them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.text import Text

from avssl.io.progress import stderr_console
from avssl.io.ranks import is_first_process
from avssl.printable_text import printable

STYLES = {logging.WARNING: "yellow", logging.ERROR: "red", logging.DEBUG: "dim"}


class StderrHandler(logging.Handler):
    """Plain lines on standard error, above a progress bar; coloured by level on a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        try:
            stderr_console().print(Text(self.format(record), STYLES.get(record.levelno, "")), soft_wrap=True)
        except Exception:
            self.handleError(record)

    def format(self, record: logging.LogRecord) -> str:
        """A message in one line, with its level from WARNING up and its logger at DEBUG; a traceback has its own."""
        text = super().format(record) if record.exc_info or record.exc_text else printable(record.getMessage())
        if record.levelno >= logging.WARNING:
            return f"{record.levelname.capitalize()}: {text}"
        return f"{record.name}: {text}" if record.levelno <= logging.DEBUG else text


@contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Show messages of the logger `avssl` from a level up; of all processes but the first, warnings and errors only."""
    logger = logging.getLogger("avssl")
    handler, before = StderrHandler(), logger.level
    logger.setLevel(level if is_first_process() else max(level, logging.WARNING))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
