"""Devices, precision and processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from avssl.io.cores import usable_cores


def alone(precision: str) -> Fabric:
    """One process on one device, whatever else runs."""
    return _launched(devices=1, precision=precision)


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
        return alone(precision)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    # Statistics already agree in all processes (see norm.py): nothing to broadcast at every step.
    strategy = DDPStrategy(broadcast_buffers=False)
    fabric = _launched(devices=local, num_nodes=world // local, strategy=strategy, precision=precision)
    if fabric.device.type == "cpu":  # torchrun leaves one thread to each process
        torch.set_num_threads(max(1, usable_cores() // local))
    return fabric


def _part() -> None:
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _launched(**settings: Any) -> Fabric:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces its precision
    fabric = Fabric(accelerator="auto", **settings)
    fabric.launch()
    return fabric
