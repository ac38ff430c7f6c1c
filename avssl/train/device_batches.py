"""Copies of batches to an accelerator, beside the step that it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Batch = dict[str, Any]


def batch_mover(device: torch.device) -> Callable[[Batch], Batch]:
    """Function that moves a batch to a device: on CUDA `CopyStream`, elsewhere a plain copy, on the CPU nothing."""
    return CopyStream(device) if device.type == "cuda" else lambda batch: _each(batch, lambda one: one.to(device))


class CopyStream:
    """Copies batches on a stream of their own, from pinned memory, while the device computes the step before.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, batch: Batch) -> Batch:
        """The batch on the device; the current stream waits for it, this process does not."""
        with torch.cuda.stream(self.stream):
            found = _each(batch, lambda one: one.pin_memory().to(self.device, non_blocking=True))
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self.stream)
        _each(found, lambda one: one.record_stream(current))
        return found


def _each(batch: Batch, change: Callable[[Tensor], Any]) -> Batch:
    return {name: change(each) if isinstance(each, Tensor) else each for name, each in batch.items()}
