"""SIGTERM and Ctrl-C during a run: finish the step, save, exit 0."""

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
def interrupt_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt inside the block, so that worker processes end; nothing is saved."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Catch SIGTERM and the first Ctrl-C inside a `with` block; a second Ctrl-C interrupts at once.

    Attributes:
        signal: name of the received signal, or empty.
    """

    def __init__(self) -> None:
        self.signal = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        """Install the handlers; only the main thread receives signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._receive) for each in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def agreed(self, fabric: Fabric) -> bool:
        """Whether any process has received a signal; a collective call."""
        if fabric.world_size == 1:
            return bool(self.signal)
        asked = fabric.all_reduce(torch.tensor(float(bool(self.signal)), device=fabric.device), reduce_op="sum")
        return bool(asked)
