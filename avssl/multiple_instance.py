"""Multiple-instance similarity: soft maximum of cosines over the instances of a bag, such as cells of a panorama."""

# Q queries, B bags, N instances of a bag, D embedding

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from avssl.errors import InputError

BLOCK = 2**23
"""Cosines in memory at a time."""


def multiple_instance_similarity(
    query: Tensor,
    bags: Tensor,
    sharpness: Tensor | float = 20.0,
    weights: Tensor | None = None,
    block: int = BLOCK,
) -> Tensor:
    """Similarity of every query and every bag: logsumexp(s cos + log w) / s over the instances of the bag.

    Between the weighted mean (sharpness to 0) and the maximum (to infinity) of the cosines. Computed in float32 per
    block of queries; with more than one block, cosines are recomputed for the gradient, so that memory does not grow
    with the number of queries.

    Args:
        query: `(Q, D)` embeddings, normalised here; or `(Q, N, D)`, one for each instance place, such as one for each
            direction.
        bags: `(B, N, D)` embeddings of the instances, normalised here.
        sharpness: s, positive.
        weights: `(N,)`, not negative, such as solid angles; scaled here to a sum of 1. None: equal weights.
        block: cosines in memory at a time.

    Returns:
        float32 `(Q, B)`, at most 1.

    Raises:
        InputError: shapes that do not fit.

    Example:
        >>> bags = torch.eye(3)[None, :2]  # one bag of two instances
        >>> similarity = multiple_instance_similarity(torch.tensor([[1, 0, 0], [0.6, 0, 0.8]]), bags, sharpness=100.0)
        >>> [[round(float(each), 2) for each in row] for row in similarity]  # in the bag; 53 degrees from it
        [[0.99], [0.59]]
    """
    _check(query, bags, weights)
    with torch.autocast(bags.device.type, enabled=False):
        query, bags = (functional.normalize(each.float(), dim=-1) for each in (query, bags))
        offset = _log_weights(weights, bags)
        scale = torch.as_tensor(sharpness, dtype=torch.float32, device=bags.device)
        chunks = torch.split(query, max(1, block // math.prod(bags.shape[:2])))
        if len(chunks) == 1:
            return _soft_maximum(query, bags, scale, offset)
        rows = [checkpoint(_soft_maximum, chunk, bags, scale, offset, use_reentrant=False) for chunk in chunks]
        return torch.cat(rows)


class LogitScale(nn.Module):
    """Learnt inverse temperature of a contrastive loss, as in CLIP (Radford 2021): multiplies similarities.

    Args:
        temperature: initial softmax temperature.
        least: lower limit of the temperature.
    """

    def __init__(self, temperature: float = 0.1, least: float = 0.01) -> None:
        super().__init__()
        self.least = least
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def temperature(self) -> Tensor:
        """Current temperature, a scalar."""
        return (-self.log_scale.float()).exp().clamp(min=self.least)

    def forward(self, similarity: Tensor) -> Tensor:
        """Logits of similarities."""
        return similarity / self.temperature


def _soft_maximum(query: Tensor, bags: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """`(Q, B)` of unit vectors; `offset`: logarithms `(N,)` of the weights."""
    same = query.ndim == 2
    cosines = torch.einsum("qd,bnd->qbn", query, bags) if same else torch.einsum("qnd,bnd->qbn", query, bags)
    return (scale * cosines + offset).logsumexp(-1) / scale


def _log_weights(weights: Tensor | None, bags: Tensor) -> Tensor:
    if weights is None:
        return bags.new_full(bags.shape[1:2], -math.log(bags.shape[1]))
    weights = weights.to(bags)
    return (weights / weights.sum()).log()


def _check(query: Tensor, bags: Tensor, weights: Tensor | None) -> None:
    fits = bags.ndim == 3 and query.ndim in (2, 3) and query.shape[1:] in (bags.shape[2:], bags.shape[1:])
    fits = fits and (weights is None or weights.shape == bags.shape[1:2])
    if not fits:
        found = [tuple(each.shape) for each in (query, bags, weights) if each is not None]
        raise InputError(f"expected queries (Q, D) or (Q, N, D), bags (B, N, D) and weights (N,), got {found}")
