"""Atomic checkpoints of tensors and plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from avssl.errors import InputError, MissingFileError, excerpt
from avssl.io.atomic import durably_replacing
from avssl.io.format_version import check_version
from avssl.io.tensor_files import load_tensors
from avssl.io.torch_files import read_torch
from avssl.runs.reader import FORMAT
from avssl.train.saved_values import check_scaling, checked_optimizer

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
        state = read_torch(path)
    except MissingFileError:
        raise
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: expected a checkpoint of avssl, got another file: {excerpt(reason)}") from error
    if not isinstance(state, dict) or not {"run", "task", "optimizer"} <= state.keys():
        raise InputError(f"{path}: expected a checkpoint with run, task and optimizer, got other keys")
    check_version(path, state.get("format"), FORMAT)
    return state


def restore(path: Path, task: nn.Module, *others: tuple[str, Stateful]) -> dict[str, Any]:
    """Load weights, and the named states of `others`; return the state of the run.

    Everything is checked before anything is loaded.

    Raises:
        InputError: the weights belong to another network, or a value is of another type, shape or range.
    """
    state = load(path)
    try:
        loaded = [(each, _checked(state.get(name), each)) for name, each in others]
        load_tensors(task, _weights(state["task"]), "its weights")
        for each, values in loaded:
            each.load_state_dict(values)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: saved from another network, or spoiled: {excerpt(error)}") from error
    if not isinstance(state["run"], dict):
        raise InputError(f"{path}: expected the progress of a run, got {excerpt(state['run'])}")
    return dict(state["run"])


def _checked(saved: Any, target: Stateful) -> dict[str, Any]:
    if isinstance(target, Optimizer):
        return checked_optimizer(saved, target)
    check_scaling(saved)
    return dict(saved)


def _weights(saved: Any) -> dict[str, Tensor]:
    if not isinstance(saved, dict) or not all(isinstance(each, Tensor) for each in saved.values()):
        raise InputError("expected tensors by name")
    return dict(saved)
