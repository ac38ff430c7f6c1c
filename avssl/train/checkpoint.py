"""Checkpoints that are whole or not there, and that only hold tensors and plain values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from avssl.errors import InputError, OutputError
from avssl.io import atomic
from avssl.io.format_version import check_version
from avssl.runs.reader import FORMAT

LAST = "last.ckpt"


class Stateful(Protocol):
    """What has a state to save."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Take them back."""
        ...


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """As `avssl.io.atomic.replacing`, and the file has reached the disk when it returns.

    Raises:
        OutputError: the file cannot be written, such as on a full disk; `path` is as before.
    """
    try:
        with atomic.replacing(path) as part:
            yield part
            _to_disk(part)
        _to_disk(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError that does not name it
        full = "" if isinstance(error, OSError) else " (is the disk full?)"
        raise OutputError(f"{path}: cannot be written{full}: {_first_line(error)}") from error


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, atomically.

    Raises:
        OutputError: the file cannot be written; what was there before still is.
    """
    with replacing(path) as part:
        torch.save({"format": FORMAT, **state}, part)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU; nothing in the file is executed.

    Raises:
        InputError: the file is not such a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a spoiled file gives any of a dozen kinds
        raise InputError(f"{path}: not a checkpoint of avssl: {_first_line(error)}") from error
    if not isinstance(state, dict) or not {"run", "task", "optimizer"} <= state.keys():
        raise InputError(f"{path}: a checkpoint holds run, task and optimizer, this does not")
    check_version(path, state.get("format"), FORMAT)
    return state


def restore(path: Path, task: nn.Module, *others: tuple[str, Stateful]) -> dict[str, Any]:
    """Load weights, and the named states of `others`; return the state of the run.

    Raises:
        InputError: the weights belong to another network.
    """
    state = load(path)
    try:
        task.load_state_dict(state["task"])
        for name, each in others:
            each.load_state_dict(state[name])
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: saved from another network: {_first_line(error)}") from error
    return dict(state["run"])


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def _to_disk(path: Path) -> None:
    """Wait until a file or folder has reached the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
