"""SIGTERM and SIGHUP as exceptions, so that files, locks and worker processes are left as after Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask a process to end: of a scheduler, and of a closed terminal."""
SECONDS_UNTIL_AGAIN = 0.05
"""Delay of a signal that arrived where Python ignores exceptions."""


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
    before, hook = handled(ENDING, _stop), sys.unraisablehook
    if before:
        sys.unraisablehook = _raise_again(hook)
    try:
        yield
    finally:  # inside another block, the signals go on being those of that one
        restore({each: handler for each, handler in before.items() if handler is not _stop})
        sys.unraisablehook = hook


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


def _raise_again(hook: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Hook for exceptions that Python ignores, such as in a callback of a weak reference: interrupts come again."""

    def ignored(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            hook(unraisable)
            return
        number = exit_code(unraisable.exc_value) - 128
        if number in ENDING:
            signal.signal(number, _stop)
        again = threading.Timer(SECONDS_UNTIL_AGAIN, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    return ignored
