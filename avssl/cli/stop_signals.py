"""Signals that end a command as Ctrl-C does: caches are written, temporary files and worker processes go."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""The end of a job, a closed terminal."""


class StoppedError(KeyboardInterrupt):
    """A signal that asks to stop; `code` is the exit code that shells have for it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turn `SIGNALS` into `StoppedError`, unless they are ignored, as under nohup, or handled otherwise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [each for each in SIGNALS if signal.getsignal(each) == signal.SIG_DFL]
    for each in taken:
        signal.signal(each, _stop)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)
