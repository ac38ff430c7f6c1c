"""Devices, precision and processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from avssl.models.runtime import launch_fabric, single_process


@contextmanager
def processes(precision: str) -> Iterator[Fabric]:
    """All processes that torchrun has started, on one or several machines; without torchrun, this one.

    They work together inside the `with` block, which they leave together too; what follows runs alone.

    Args:
        precision: Lightning Fabric's name, such as bf16-mixed.

    Raises:
        ValueError: Fabric knows no such precision, or it does not work on this device.
    """
    fabric = _joined(precision)
    try:
        yield fabric
    except SystemExit:  # all were asked to stop
        _part()
        raise
    _part()


def _joined(precision: str) -> Fabric:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return single_process(precision)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    # Statistics already agree in all processes (see norm.py): nothing to broadcast at every step.
    strategy = DDPStrategy(broadcast_buffers=False)
    fabric = launch_fabric(devices=local, num_nodes=world // local, strategy=strategy, precision=precision)
    if fabric.device.type == "cpu":  # torchrun leaves one thread to each process
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local))
    return fabric


def _part() -> None:
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
