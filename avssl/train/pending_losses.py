"""Losses of steps that an accelerator still computes: read together every few steps, so that no step waits for it."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 10
"""Steps on an accelerator between two readings."""


class PendingLosses:
    """Losses that are not read yet, each with its step.

    Args:
        device: of the losses. On the CPU, whose losses are there at once, each is read in its step.
    """

    def __init__(self, device: torch.device) -> None:
        self.every = 1 if device.type == "cpu" else STEPS
        """Steps between two readings."""
        self._steps: list[int] = []
        self._losses: list[Tensor] = []

    def add(self, step: int, loss: Tensor) -> None:
        """Add the loss of a step; the device is not waited for."""
        self._steps.append(step)
        self._losses.append(loss.detach())

    def read(self) -> list[tuple[int, float]]:
        """Steps and losses since the last reading, by one copy from the device, which is waited for."""
        if not self._steps:
            return []
        found = list(zip(self._steps, torch.stack(self._losses).tolist(), strict=True))
        self._steps, self._losses = [], []
        return found
