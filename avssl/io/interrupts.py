"""SIGTERM and SIGHUP as exceptions, so that files, locks and worker processes are left as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end: of a scheduler, and of a closed terminal."""


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C has asked the process to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """Exit code as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise `Stopped` on SIGTERM and SIGHUP inside the block; nothing is saved, further ones are ignored.

    A signal that is ignored stays so, as SIGHUP under nohup. Only the main thread receives signals.
    """
    before = handled(ENDING, _stop)
    try:
        yield
    finally:  # inside another block, the signals go on being those of that one
        restore({each: handler for each, handler in before.items() if handler is not _stop})


def handled(signals: tuple[signal.Signals, ...], handler: Any) -> dict[signal.Signals, Any]:
    """Set the handler of those signals that are not ignored; returns the handlers before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    chosen = [each for each in signals if each == signal.SIGINT or signal.getsignal(each) is not signal.SIG_IGN]
    return {each: signal.signal(each, handler) for each in chosen}


def restore(before: dict[signal.Signals, Any]) -> None:
    """Set handlers as they were."""
    for each, handler in before.items():
        signal.signal(each, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    for each in ENDING:  # schedulers send it to the group and to each process: do not disturb the end
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
