"""Devices, precision and processes."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from avssl.errors import first_line
from avssl.io.cores import usable_cores
from avssl.io.ranks import local_world_size, world_size
from avssl.models.runtime import launch_fabric, single_process
from avssl.train.process_checks import lost_process

T = TypeVar("T")

Outcome = tuple[T | None, BaseException | None]
"""Result and exception of some work, one of them None."""
_patient: list[dist.ProcessGroup] = []

SILENCE = timedelta(minutes=10)
"""Longest wait for another process in a step. One that dies ends the others at once; this is for one that hangs."""
LONGEST_END = 5.0
"""Seconds for the connections of a failed process to end; then it ends without them."""
LETTING_GO = 0.2
"""Seconds for the threads of gloo to let go of tensors; they need the interpreter's lock for that."""


@contextmanager
def processes(precision: str) -> Iterator[Fabric]:
    """All processes that torchrun has started, on one or several machines; without torchrun, this one.

    They work together inside the `with` block, which they leave together too; what follows runs alone. An exception of
    one ends its connections, and with them the waiting of the others; so does its death.

    Args:
        precision: see `resolve_precision`.

    Raises:
        InputError: Fabric knows no such precision, it does not work on this device, or another process has ended.
    """
    fabric = _joined(precision)
    try:
        yield fabric
    except SystemExit:  # all were asked to stop
        leave_process_group()
        raise
    except BaseException as error:
        _abandon_process_group()
        if lost := lost_process(error):
            raise lost from error
        raise
    leave_process_group()


def _joined(precision: str) -> Fabric:
    world = world_size()
    if world == 1:
        return single_process(precision)
    local = local_world_size()
    # Statistics already agree in all processes (see sync_batchnorm.py): nothing to broadcast at every step.
    # Every step uses the same weights: frozen parts are refused (see frozen_parts.py).
    strategy = DDPStrategy(broadcast_buffers=False, static_graph=True, gradient_as_bucket_view=True, timeout=SILENCE)
    fabric = launch_fabric(devices=local, num_nodes=world // local, strategy=strategy, precision=precision)
    if fabric.device.type == "cpu":  # torchrun leaves one thread to each process
        torch.set_num_threads(max(1, usable_cores() // local))
    return fabric


def on_first_rank(fabric: Fabric, work: Callable[[], T]) -> T:
    """Result of `work`, run on rank 0 alone and broadcast to all processes; whatever it raises is raised in all.

    Args:
        fabric: all processes call this together.
        work: its result is pickled.
    """
    if fabric.world_size == 1:
        return work()
    outcome = _outcome(work) if fabric.is_global_zero else None
    sent = [outcome]
    dist.broadcast_object_list(sent, src=0, group=_patient_group())
    result, error = outcome or cast(Outcome[T], sent[0])
    if error is not None:
        raise error
    return cast(T, result)


def first_on_each_machine(fabric: Fabric, work: Callable[[], T]) -> T:
    """Result of `work`, run in one process of each machine, then in the others; all end with the error of any of them.

    Args:
        fabric: all processes call this together.
        work: writes a file that the other processes of the machine read.
    """
    if fabric.world_size == 1:
        return work()
    result, own = None, fabric.local_rank == 0
    for turn in (True, False):
        found, error = _outcome(work, sent=False) if own is turn else (None, None)
        result = found if own is turn else result
        errors: list[BaseException | None] = [None] * fabric.world_size
        dist.all_gather_object(errors, error, group=_patient_group())
        if first := error or next(filter(None, errors), None):
            raise first
    return cast(T, result)


def _outcome(work: Callable[[], T], sent: bool = True) -> Outcome[T]:
    """Result or exception of some work; if they are sent, they are such as can be pickled."""
    try:
        result = work()
        if sent:
            pickle.dumps(result)
        return result, None
    except BaseException as error:  # whatever it is: the others wait
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return None, RuntimeError(f"{type(error).__name__}: {first_line(error)}").with_traceback(
                error.__traceback__
            )
        return None, error


def _patient_group() -> dist.ProcessGroup:
    """A group of all processes without a time limit: what they wait for may take hours, as rendering does."""
    if not _patient:
        _patient.append(dist.new_group(backend="gloo", timeout=timedelta(days=10000)))
    return _patient[0]


def _abandon_process_group() -> None:
    """Destroy the groups of gloo without waiting for the other ranks, for the reason in `leave_process_group`."""
    if not dist.is_initialized():
        return
    groups = [None] if dist.get_backend() == "gloo" else _patient
    time.sleep(LETTING_GO)
    ends = [threading.Thread(target=dist.destroy_process_group, args=[each], daemon=True) for each in groups]
    for each in ends:
        each.start()
        each.join(LONGEST_END)


def leave_process_group() -> None:
    """Destroy the process group, once all ranks are here; nothing without one.

    An interpreter that ends while a thread of gloo still holds a tensor aborts the process (SIGABRT), after its work.
    """
    if dist.is_initialized():
        dist.barrier()
        time.sleep(LETTING_GO)
        _patient.clear()
        dist.destroy_process_group()
