"""A loader process of tensors: it computes on one core, and its tensors travel through shared memory."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

SHARED_MEMORY = Path("/dev/shm")
ROOMY = 2**31
"""Bytes free in shared memory with which tensors travel through it: containers often have 64 MiB."""
_in_loader = False
"""Whether this is a loader process."""


def init_loader() -> None:
    """Prepare this process; its global generators differ from those of the other loader processes."""
    global _in_loader
    _in_loader = True
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    torch.seed()
    np.random.seed()
    random.seed()


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of equal shape and dtype as one; in a loader process in shared memory, which spares a copy."""
    if not (_in_loader and _has_shared_memory()):
        return torch.stack(tuple(tensors))
    first = tensors[0]
    shape = (len(tensors), *first.shape)
    storage: Any = torch.UntypedStorage
    shared = storage._new_shared(math.prod(shape) * first.element_size(), device="cpu")
    whole = torch.empty(0, dtype=first.dtype).set_(shared).reshape(shape)
    return torch.stack(tuple(tensors), out=whole)


def packed(batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors as they travel to the main process: pickled by reference to shared memory, or as arrays."""
    return dict(batch) if _has_shared_memory() else {name: each.numpy() for name, each in batch.items()}


def unpacked(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors that have travelled."""
    return {name: torch.as_tensor(each) for name, each in batch.items()}


def _has_shared_memory() -> bool:
    return not SHARED_MEMORY.is_dir() or shutil.disk_usage(SHARED_MEMORY).free > ROOMY
