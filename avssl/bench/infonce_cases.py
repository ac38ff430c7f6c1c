"""Benchmark of InfoNCE, forward and backward, against pytorch-metric-learning and against cross entropy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from torch import Tensor

from avssl.bench.case import Case, Result, Size, largest
from avssl.losses import info_nce

TEMPERATURE = 0.07
Loss = Callable[[Tensor, Tensor], Tensor]


def cases(size: Size, folder: Path) -> list[Case]:
    """Loss and both gradients of a training batch."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, size.batch, size.width, generator=generator).unbind()
    a, b = a.requires_grad_(), (0.3 * a.detach() + b).requires_grad_()
    # Distinct label tensors: for identical ones, pytorch-metric-learning assumes no references and returns 0.
    labels, others = torch.arange(size.batch), torch.arange(size.batch)

    def both_ways(loss: Callable[..., Tensor]) -> Loss:
        def run(a: Tensor, b: Tensor) -> Tensor:
            return (loss(a, labels, ref_emb=b, ref_labels=others) + loss(b, labels, ref_emb=a, ref_labels=others)) / 2

        return run

    peers: dict[str, Loss] = {
        "pytorch-metric-learning NTXentLoss": both_ways(NTXentLoss(TEMPERATURE)),
        "pytorch-metric-learning SupConLoss": both_ways(SupConLoss(TEMPERATURE)),
        "torch cross_entropy, rows and columns": _cross_entropy,
    }
    ours = _with_gradients(lambda a, b: info_nce(a, b, TEMPERATURE), a, b)
    return [Case("infonce", name, ours, _with_gradients(loss, a, b), 1e-3, largest) for name, loss in peers.items()]


def _cross_entropy(a: Tensor, b: Tensor) -> Tensor:
    scores = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / TEMPERATURE
    labels = torch.arange(len(a))
    return (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2


def _with_gradients(loss: Loss, a: Tensor, b: Tensor) -> Callable[[], Result]:
    def step() -> Result:
        value = loss(a, b)
        return value.detach(), *torch.autograd.grad(value, (a, b))

    return step
