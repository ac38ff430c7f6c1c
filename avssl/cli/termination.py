"""SIGTERM and SIGHUP end a command as Ctrl-C does: workers end, temporary files are removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
SHELL = 128
"""Exit codes of shells: this and the number of the signal."""


class Terminated(KeyboardInterrupt):
    """A signal that ends the command.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = SHELL + number


@contextmanager
def terminated_by_signals() -> Iterator[None]:
    """Raise `Terminated` on a signal inside the block; a second one ends the process at once.

    A handler of a command, or an ignored SIGHUP (`nohup`), is left as it is.
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [each for each in SIGNALS if main and signal.getsignal(each) is signal.SIG_DFL]
    for each in taken:
        signal.signal(each, _terminate)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)
