"""Collapse metrics of the embeddings of a batch: spread, effective rank, nearest-neighbour cosine."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from avssl.models.runtime import evaluating

SPREAD_OF_COLLAPSE = 0.05
RANK_OF_COLLAPSE = 1.5


def spread(embedding: Tensor) -> Tensor:
    """Mean standard deviation of unit-length embeddings, times the root of their width.

    0: all are the same; 1: uniform on the sphere (Chen & He 2021, section 4.1).

    Args:
        embedding: `(clips, width)`.
    """
    unit = _unit(embedding)
    return unit.std(0, correction=0).mean() * math.sqrt(unit.shape[-1])


def effective_rank(embedding: Tensor) -> Tensor:
    """Exponential of the entropy of the normalised singular values (Roy & Vetterli 2007).

    1: all embeddings lie on a line through the mean; at most the smaller of clips - 1 and width.

    Args:
        embedding: `(clips, width)`; centred here after being brought to unit length.
    """
    unit = _unit(embedding)
    values = torch.linalg.svdvals(unit - unit.mean(0))
    share = values / values.sum().clamp(min=torch.finfo(values.dtype).tiny)
    entropy: Tensor = torch.special.entr(share).sum()
    return entropy.exp()


def nearest_neighbour(embedding: Tensor) -> Tensor:
    """Mean cosine between each embedding and the nearest other one; 1: all embeddings coincide.

    Args:
        embedding: `(clips, width)`, at least 2 clips.
    """
    unit = _unit(embedding)
    cosines: Tensor = (unit @ unit.T).fill_diagonal_(-1)
    return cosines.amax(1).mean()


def collapse(task: Any, batch: dict[str, Any], fabric: Fabric) -> tuple[dict[str, float], str]:
    """Scalars for each embedding of a task that offers `embeddings(batch) -> {name: (clips, width)}`.

    Returns:
        `spread/NAME`, `rank/NAME`, `nearest/NAME`, and a warning, empty without a collapse. Other tasks: no scalars.
    """
    if not callable(getattr(type(task), "embeddings", None)):  # a layer of that name is something else
        return {}, ""
    with torch.no_grad(), evaluating(task), fabric.autocast():
        embeddings = {name: value.flatten(0, -2) for name, value in task.embeddings(batch).items()}
    scalars: dict[str, float] = {}
    warnings: list[str] = []
    for name, embedding in embeddings.items():
        if len(embedding) < 2:
            continue
        if not embedding.isfinite().all():
            warnings.append(f"{name} embeddings are not finite")
            continue
        values = [float(metric(embedding)) for metric in (spread, effective_rank, nearest_neighbour)]
        scalars |= dict(zip((f"spread/{name}", f"rank/{name}", f"nearest/{name}"), values, strict=True))
        if values[0] < SPREAD_OF_COLLAPSE or (len(embedding) > 4 and values[1] < RANK_OF_COLLAPSE):
            warnings.append(f"{name} embeddings have collapsed (spread {values[0]:.3f}, rank {values[1]:.1f})")
    return scalars, "; ".join(warnings)


def _unit(embedding: Tensor) -> Tensor:
    return functional.normalize(embedding.float(), dim=-1)
