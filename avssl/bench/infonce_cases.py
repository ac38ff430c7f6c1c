"""Benchmark of InfoNCE, forward and backward, against other libraries and against cross entropy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from torch import Tensor

from avssl.bench.case import Case, Row, Size, largest
from avssl.bench.loss_cases import TEMPERATURE, Loss, at_largest, pairs, with_gradients
from avssl.bench.peers import with_library
from avssl.losses import info_nce

OURS = partial(info_nce, temperature=TEMPERATURE)


def cases(size: Size, folder: Path) -> list[Row]:
    """Loss and both gradients of a training batch, of a large one, and of one that fits only tile by tile."""
    small = partial(_case, "infonce", size.batch, size.width)
    large = partial(_case, "infonce-large", size.large_batch, size.width)
    return [
        small("pytorch-metric-learning NTXentLoss", _both_ways(NTXentLoss(TEMPERATURE), size.batch), aim=100.0),
        small("pytorch-metric-learning SupConLoss", _both_ways(SupConLoss(TEMPERATURE), size.batch)),
        *with_library("infonce", "lightly.loss", "lightly NTXentLoss", lambda module: [_lightly(size, module)]),
        small("torch cross_entropy, rows and columns", _cross_entropy, aim=1.0),
        small("two products, as published", _two_products),
        large("torch cross_entropy, rows and columns", _cross_entropy, aim=2.5),
        *at_largest("infonce-largest", OURS, (size.largest_batch, size.width)),
    ]


def _case(name: str, batch: int, width: int, peer_name: str, peer: Loss, aim: float = 0.0) -> Case:
    a, b = pairs((batch, width))
    sides = with_gradients(OURS, a, b), with_gradients(peer, a, b)
    work = f"{batch} pairs, forward and backward"
    return Case(name, peer_name, *sides, 1e-3, largest, work=work, aim=aim, memory=True)


def _both_ways(loss: Callable[..., Tensor], batch: int) -> Loss:
    # Distinct label tensors: for identical ones, pytorch-metric-learning assumes no references and returns 0.
    labels, others = torch.arange(batch), torch.arange(batch)

    def run(a: Tensor, b: Tensor) -> Tensor:
        return (loss(a, labels, ref_emb=b, ref_labels=others) + loss(b, labels, ref_emb=a, ref_labels=others)) / 2

    return run


def _lightly(size: Size, module: Any) -> Case:
    """SimCLR's loss has the rows of the own modality as negatives too: twice the candidates, and ln 2 more for noise.

    The losses are compared, less ln 2, not the gradients, which both sides compute.
    """
    a, b = pairs((size.batch, size.width))
    ours, theirs = with_gradients(OURS, a, b), with_gradients(module.NTXentLoss(TEMPERATURE), a, b)
    return Case(
        "infonce",
        "lightly NTXentLoss, with negatives of the own modality",
        lambda: (ours()[0],),
        lambda: (theirs()[0] - math.log(2),),
        0.1,
        largest,
        work=f"{size.batch} pairs, forward and backward",
        memory=True,
    )


def _cross_entropy(a: Tensor, b: Tensor) -> Tensor:
    scores = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / TEMPERATURE
    labels = torch.arange(len(a))
    return (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2


def _two_products(a: Tensor, b: Tensor) -> Tensor:
    """A matrix of similarities for each direction, as in the code of AVSA."""
    a, b, labels = F.normalize(a, dim=-1), F.normalize(b, dim=-1), torch.arange(len(a))
    scores = (one @ other.T / TEMPERATURE for one, other in ((a, b), (b, a)))
    return sum((F.cross_entropy(each, labels) for each in scores), torch.zeros(())) / 2
