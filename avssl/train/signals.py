"""Stopping a run from outside: finish the step, save, exit 0."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric


@contextmanager
def interrupting() -> Iterator[None]:
    """SIGTERM interrupts inside, as Ctrl-C does: where nothing is to be saved, but processes are to be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Catches SIGTERM and the first Ctrl-C inside its `with` block; a second Ctrl-C interrupts as always.

    Attributes:
        asked: name of the signal that came, or empty.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        """Put the handlers in place; in a thread other than the main one there is nothing to catch."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._ask) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        """Put back what was there."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def agreed(self, fabric: Fabric) -> bool:
        """Whether any process was asked; all must call this together."""
        if fabric.world_size == 1:
            return bool(self.asked)
        asked = fabric.all_reduce(torch.tensor(float(bool(self.asked)), device=fabric.device), reduce_op="sum")
        return bool(asked)
