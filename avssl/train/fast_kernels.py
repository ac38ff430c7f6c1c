"""Choice of kernels on CUDA: the fastest ones, or those that give the same bits in every run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Setting of cuBLAS that its deterministic kernels need, read when the device is first used."""


@contextmanager
def kernels(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Context of a training; on other devices than CUDA nothing changes.

    Args:
        device: that trains.
        deterministic: kernels that give the same bits in every run; False: cuDNN tries its kernels on the first batch
            and takes the fastest.
    """
    if device.type != "cuda":
        yield
        return
    backend = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = backend.benchmark
    if deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    backend.benchmark = not (deterministic or backend.deterministic or before[0])
    try:
        yield
    finally:
        backend.benchmark = benchmark
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
