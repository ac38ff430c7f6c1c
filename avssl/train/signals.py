"""SIGTERM, SIGHUP and Ctrl-C during training: finish the step, save, exit 0."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from lightning_fabric import Fabric

from avssl.io.interrupts import ENDING, Stopped, handled, restore


class StopRequest:
    """Catch SIGTERM, SIGHUP and the first Ctrl-C inside a `with` block; a second Ctrl-C interrupts at once.

    Attributes:
        signal: name of the received signal, or empty.
    """

    def __init__(self) -> None:
        self.signal = ""
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        """Install the handlers; only the main thread receives signals."""
        self._before = handled((*ENDING, signal.SIGINT), self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        restore(self._before)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(self) -> KeyboardInterrupt:
        """The exception that ends a run without a folder to save in."""
        number = signal.Signals[self.signal or "SIGINT"]
        return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)

    def agreed(self, fabric: Fabric) -> bool:
        """Whether any process has received a signal; a collective call."""
        if fabric.world_size == 1:
            return bool(self.signal)
        asked = fabric.all_reduce(torch.tensor(float(bool(self.signal)), device=fabric.device), reduce_op="sum")
        return bool(asked)
