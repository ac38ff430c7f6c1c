"""Devices, precision and processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from avssl.io.cores import usable_cores
from avssl.io.folder_lock import folder_lock
from avssl.io.ranks import is_first_process, world_size
from avssl.models.runtime import launch_fabric, single_process

T = TypeVar("T")

LETTING_GO = 0.2
"""Seconds for the threads of gloo to let go of tensors; they need the interpreter's lock for that."""


@contextmanager
def processes(precision: str) -> Iterator[Fabric]:
    """All processes that torchrun has started, on one or several machines; without torchrun, this one.

    They work together inside the `with` block, which they leave together too; what follows runs alone.

    Args:
        precision: Lightning Fabric's name, such as bf16-mixed.

    Raises:
        InputError: Fabric knows no such precision, or it does not work on this device.
    """
    fabric = _joined(precision)
    try:
        yield fabric
    except SystemExit:  # all were asked to stop
        leave_process_group()
        raise
    leave_process_group()


@contextmanager
def first_process_holds(folder: Path) -> Iterator[None]:
    """Hold a run folder in the process of rank 0, which writes it; see `folder_lock`.

    Raises:
        InputError: another run writes there.
    """
    with folder_lock(folder) if is_first_process() else nullcontext():
        yield


def _joined(precision: str) -> Fabric:
    world = world_size()
    if world == 1:
        return single_process(precision)
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    # Statistics already agree in all processes (see sync_batchnorm.py): nothing to broadcast at every step.
    strategy = DDPStrategy(broadcast_buffers=False)
    fabric = launch_fabric(devices=local, num_nodes=world // local, strategy=strategy, precision=precision)
    if fabric.device.type == "cpu":  # torchrun leaves one thread to each process
        torch.set_num_threads(max(1, usable_cores() // local))
    return fabric


def on_first_rank(fabric: Fabric, work: Callable[[], T]) -> T:
    """Result of `work`, run on rank 0 alone and broadcast to all processes; its error is raised in all of them.

    Args:
        fabric: all processes call this together.
        work: its result is pickled.

    Raises:
        InputError: `work` raised it.
        OSError: `work` raised it.
    """
    outcome: T | Exception | None = None
    if fabric.is_global_zero:
        try:
            outcome = work()
        except (ValueError, OSError) as error:
            if fabric.world_size == 1:
                raise
            outcome = error
    outcome = fabric.broadcast(outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return cast(T, outcome)


def leave_process_group() -> None:
    """Destroy the process group, once all ranks are here; nothing without one.

    An interpreter that ends while a thread of gloo still holds a tensor aborts the process (SIGABRT), after its work.
    """
    if dist.is_initialized():
        dist.barrier()
        time.sleep(LETTING_GO)
        dist.destroy_process_group()
