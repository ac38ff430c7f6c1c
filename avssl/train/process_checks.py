"""Checks of the processes of one run: the same config in all, and one line where another one has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from lightning_fabric import Fabric

from avssl.errors import InputError
from avssl.runs.reader import flat

LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Socket Timeout",
    "Timed out waiting",
    "NCCL communicator was aborted",
    "remote process exited",
    "recvValue failed",
    "sendBytes failed",
)
"""In the errors of gloo, NCCL and the store where another process is gone, or silent for the time limit."""


def lost_process(error: BaseException) -> InputError | None:
    """The error of one line for an exception of a collective that another process has left; None for any other."""
    if not isinstance(error, RuntimeError) or not any(text in str(error) for text in LOST):
        return None
    return InputError(
        "another process of this run has ended or does not answer; its own message, or that of the system, says why; "
        "the last checkpoint stays, and the same command continues from there"
    )


def check_same_config(fabric: Fabric, config: Mapping[str, Any]) -> None:
    """Check that all processes of a run were started with the same config.

    Args:
        fabric: all processes call this together.
        config: nested.

    Raises:
        InputError: in all of them, where one has another config than rank 0.
    """
    if fabric.world_size == 1:
        return
    configs: list[dict[str, Any]] = [{}] * fabric.world_size
    dist.all_gather_object(configs, flat(config))
    first = configs[0]
    for rank, other in enumerate(configs):
        if differing := sorted(key for key in first.keys() | other.keys() if first.get(key) != other.get(key)):
            changes = ", ".join(f"{key} is {other.get(key)!r} there, {first.get(key)!r} in rank 0" for key in differing)
            raise InputError(
                f"rank {rank}: expected the config of rank 0, got another one ({changes}); give all processes the same "
                "command"
            )
