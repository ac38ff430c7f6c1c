"""Benchmark of the alignment loss and the sigmoid loss, forward and backward, against dense forms."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from avssl.bench.case import Case, Quantity, Result, Row, Size, largest
from avssl.bench.peak_memory import peak_bytes
from avssl.losses import alignment_loss
from avssl.sigmoid_loss import SigmoidLoss

TEMPERATURE = 0.07
Loss = Callable[[Tensor, Tensor], Tensor]


def pairs(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Two batches of embeddings that agree in part, with gradients."""
    a, b = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).unbind()
    return a.requires_grad_(), (0.3 * a.detach() + b).requires_grad_()


def with_gradients(loss: Loss, a: Tensor, b: Tensor) -> Callable[[], Result]:
    """The loss and both gradients."""

    def step() -> Result:
        value = loss(a, b)
        return value.detach(), *torch.autograd.grad(value, (a, b))

    return step


def at_largest(name: str, loss: Loss, shape: tuple[int, ...]) -> list[Quantity]:
    """Time and peak memory of a batch whose similarities do not fit into memory at once."""
    step = with_gradients(loss, *pairs(shape))
    dense = 4e-9 * math.prod(shape[:-1]) * shape[0]
    work = f"{shape[0]} pairs; a matrix of similarities is {dense:.1f} GB"

    def memory() -> dict[str, float]:
        return {"peak memory": peak_bytes(step) / 1e6}

    def seconds() -> dict[str, float]:
        begin = time.perf_counter()
        step()
        return {"time": time.perf_counter() - begin}

    return [Quantity(name, seconds, "s", work, 3), Quantity(name, memory, "MB", work, 1)]


def alignment_cases(size: Size, folder: Path) -> list[Row]:
    """AVSA's loss in one direction, four crops a clip."""
    rows: list[Row] = []
    for name, batch in (("alignment", size.batch), ("alignment-large", size.large_batch // size.views)):
        a, b = pairs((batch, size.views, size.width))
        sides = with_gradients(partial(alignment_loss, temperature=TEMPERATURE), a, b), with_gradients(plain_loss, a, b)
        work = f"{batch} clips x {size.views} crops, forward and backward"
        rows.append(Case(name, "dense, masked softmax", *sides, 1e-3, largest, work=work, memory=True))
    shape = size.largest_batch // size.views, size.views, size.width
    return [*rows, *at_largest("alignment-largest", partial(alignment_loss, temperature=TEMPERATURE), shape)]


def plain_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The alignment loss from all similarities of all crops, those that are no candidates masked."""
    clips, crops = predicted.shape[:2]
    scores = F.normalize(predicted, dim=-1).flatten(0, 1) @ F.normalize(target, dim=-1).flatten(0, 1).T / TEMPERATURE
    clip, crop = torch.arange(clips).repeat_interleave(crops), torch.arange(crops).repeat(clips)
    candidates = (clip[:, None] == clip) | (crop[:, None] == crop)
    return F.cross_entropy(scores.masked_fill(~candidates, -math.inf), torch.arange(clips * crops))


def sigmoid_cases(size: Size, folder: Path) -> list[Row]:
    """SigLIP's loss of all pairs."""
    loss = SigmoidLoss()

    def ours(a: Tensor, b: Tensor) -> Tensor:
        return loss.pairs(a, b)["loss"]

    def dense(a: Tensor, b: Tensor) -> Tensor:
        logits = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T * loss.log_scale.exp() + loss.bias
        signs = 2 * torch.eye(len(a)) - 1
        return -F.logsigmoid(signs * logits).sum() / len(a)

    rows: list[Row] = []
    for name, batch in (("sigmoid", size.batch), ("sigmoid-large", size.large_batch)):
        a, b = pairs((batch, size.width))
        sides = with_gradients(ours, a, b), with_gradients(dense, a, b)
        work = f"{batch} pairs, forward and backward"
        rows.append(Case(name, "dense, as in the paper", *sides, 1e-3, largest, work=work, memory=True))
    return [*rows, *at_largest("sigmoid-largest", ours, (size.largest_batch, size.width))]
