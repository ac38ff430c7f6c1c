"""Two networks without common weights in two threads, forward and backward, each on one core.

A step is thousands of small loops. Threads that share each of them wait for each other thousands of times, and for as
long as another process uses a core; two networks in two threads wait for each other twice. Their numbers are those of
one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Network = Callable[[], Tensor]
_enabled = False


@contextmanager
def two_threads(enabled: bool) -> Iterator[None]:
    """Context in which `both` uses two threads; for training loops on a CPU, whose gradients go to weights alone."""
    global _enabled
    before, _enabled = _enabled, enabled
    try:
        yield
    finally:
        _enabled = before


def both(one: Network, other: Network, *, random: bool = False) -> tuple[Tensor, Tensor]:
    """Outputs of two networks that share no weights and no inputs with a gradient.

    In the context of `two_threads`, the second one runs in another thread, and so does its backward pass, whose
    gradients are added to its weights (`torch.autograd.grad` of them is not possible).

    Args:
        one: first network with its inputs.
        other: second network with its inputs.
        random: both draw random numbers, whose order two threads would change: they run one after the other.
    """
    if not _enabled or random or not torch.is_grad_enabled():
        return one(), other()
    return _Both.apply(one, other, torch.zeros((), requires_grad=True))  # type: ignore[no-any-return, no-untyped-call]


class _Both(torch.autograd.Function):
    """Two graphs, whose outputs leave them detached."""

    @staticmethod
    def forward(ctx: Any, one: Network, other: Network, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of both; the graphs are kept for the backward pass."""
        later = _thread().submit(_in_context, other, torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
        with torch.enable_grad():
            first = one()
        ctx.outputs = first, later.result()
        return ctx.outputs[0].detach(), ctx.outputs[1].detach()

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, to_one: Tensor, to_other: Tensor) -> tuple[None, None, None]:  # type: ignore[override]
        """Backward pass of both graphs, which adds to the gradients of their weights."""
        one, other = ctx.outputs
        del ctx.outputs
        later = _thread().submit(torch.autograd.backward, other, to_other)
        torch.autograd.backward(one, to_one)
        later.result()
        return None, None, None


def _in_context(network: Network, autocast: bool, dtype: torch.dtype) -> Tensor:
    with torch.enable_grad(), torch.autocast("cpu", dtype, autocast):
        return network()


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    """The second thread."""
    return ThreadPoolExecutor(1, "avssl-network")
