"""Atomic checkpoints of tensors and plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from avssl.errors import InputError, first_line
from avssl.io.atomic import durably_replacing
from avssl.io.format_version import check_version
from avssl.runs.reader import FORMAT

LAST = "last.ckpt"


class Stateful(Protocol):
    """An object with a state dict."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Load a state dict."""
        ...


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, atomically.

    Raises:
        OutputError: the file cannot be written; an earlier one is left as it is.
    """
    with durably_replacing(path) as part:
        torch.save({"format": FORMAT, **state}, part)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU; nothing in the file is executed.

    Raises:
        InputError: the file is not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a broken file raises any of a dozen types
        raise InputError(f"{path}: expected a checkpoint of avssl, got another file: {first_line(error)}") from error
    if not isinstance(state, dict) or not {"run", "task", "optimizer"} <= state.keys():
        raise InputError(f"{path}: expected a checkpoint with run, task and optimizer, got other keys")
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
        raise InputError(f"{path}: saved from another network: {first_line(error)}") from error
    return dict(state["run"])
