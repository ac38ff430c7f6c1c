"""Ranks of the processes of one run, as torchrun numbers them in the environment."""

from __future__ import annotations

import os


def world_size() -> int:
    """Number of processes of the run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_world_size() -> int:
    """Number of processes of the run on this machine; 1 without torchrun."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size()))


def is_first_process() -> bool:
    """Whether this is the process of rank 0, or the only one."""
    return world_size() == 1 or os.environ.get("RANK", "0") == "0"
