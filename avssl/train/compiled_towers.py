"""Towers compiled by `torch.compile` during training; their weights keep their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from avssl.errors import InputError, excerpt
from avssl.models.tower import Tower

BACKEND = "inductor"
GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes with CUDA graphs."""


@contextmanager
def compiled_towers(network: nn.Module, mode: str, device: torch.device) -> Iterator[None]:
    """Context in which the towers of a network are compiled, for inputs of constant shape.

    Args:
        network: in training.
        mode: `none`, or a mode of `torch.compile`.
        device: of the network.

    Raises:
        InputError: a network without towers, a mode with CUDA graphs on another device, or no compiler.
    """
    towers = [] if mode == "none" else _towers(network, mode, device)
    for tower in towers:
        compiled = torch.compile(tower.forward_features, backend=BACKEND, dynamic=False, mode=_inductor_mode(mode))
        tower.forward_features = compiled  # type: ignore[method-assign]
    try:
        yield
    except RuntimeError as error:
        if not _is_of_compiler(error):
            raise
        raise InputError(
            f"train.compile={mode}: expected towers that compile, got {_reason(error)}; use none"
        ) from error
    finally:
        for tower in towers:
            del tower.forward_features


def begin_step(mode: str) -> None:
    """Mark the begin of a step, from which on outputs of CUDA graphs of the last one may be overwritten."""
    if mode in GRAPHS:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]


def eagerly(mode: str) -> AbstractContextManager[object]:
    """Context without compiled code, for what is computed once in a while, such as monitored embeddings."""
    return nullcontext() if mode == "none" else torch.compiler.set_stance("force_eager")


def _towers(network: nn.Module, mode: str, device: torch.device) -> list[Tower]:
    towers = [each for each in network.modules() if isinstance(each, Tower)]
    if not towers:
        raise InputError(
            f"train.compile={mode}: expected a network with towers, got {type(network).__name__}; use none"
        )
    if mode in GRAPHS and device.type != "cuda":
        raise InputError(f"train.compile={mode}: expected a CUDA device for its graphs, got {device.type}; use default")
    return towers


def _is_of_compiler(error: RuntimeError) -> bool:
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))


def _reason(error: RuntimeError) -> str:
    """The line of the compiler's message that names the error; the first one names the backend alone."""
    lines = [each for each in str(error).splitlines() if each.strip()]
    return excerpt(next((each for each in lines if "Error" in each or "rror:" in each), lines[0]))


def _inductor_mode(mode: str) -> str | None:
    return mode if BACKEND == "inductor" else None
