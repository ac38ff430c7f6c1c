"""Contrast of embeddings with all others, per tile of similarities, which are recomputed for the gradient.

Memory grows as rows times `tile`, not as the square of the rows. Embeddings are of unit length, so that similarities
are bounded and a softmax needs neither their maximum nor a second exponential.
"""

# B clips (of all processes), K crops of a clip, D embedding

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Backward = Callable[[Any, Tensor], Any]

TILE = 256
"""Rows of similarities in memory."""
LEAST_TEMPERATURE = 0.025
"""Temperature down to which exp((cos - 1) / temperature) is a normal float32, at least exp(-80)."""


def pair_info_nce(a: Tensor, b: Tensor, temperature: float, tile: int = TILE) -> Tensor:
    """Symmetric InfoNCE of unit vectors `(B, D)`: row i of `a` and row i of `b` are a positive pair."""
    kind = _PairInfoNCE if temperature >= LEAST_TEMPERATURE else _SharpPairInfoNCE
    return kind.apply(a, b, temperature, tile)  # type: ignore[no-any-return, no-untyped-call]


def others_logsumexp(query: Tensor, reference: Tensor, temperature: float, tile: int = TILE) -> Tensor:
    """Logarithm of the sum of exp(cos / temperature) over the same crop of the other clips.

    Args:
        query: `(B, K, D)` unit vectors.
        reference: `(B, K, D)` unit vectors.
        temperature: softmax temperature.
        tile: similarities of a clip and crop that are in memory at a time, over all crops.

    Returns:
        `(B, K)`; -inf where there is no other clip.
    """
    return _OthersLogSumExp.apply(query, reference, temperature, tile)  # type: ignore[no-any-return, no-untyped-call]


def others_softplus(query: Tensor, reference: Tensor, scale: Tensor, bias: Tensor, tile: int = TILE) -> Tensor:
    """Sum of softplus(scale cos + bias) over the same crop of the other clips.

    Args:
        query: `(B, K, D)` unit vectors.
        reference: `(B, K, D)` unit vectors.
        scale: scalar, with gradient.
        bias: scalar, with gradient.
        tile: as in `others_logsumexp`.

    Returns:
        `(B, K)`; 0 where there is no other clip.
    """
    return _OthersSoftplus.apply(query, reference, scale, bias, tile)  # type: ignore[no-any-return, no-untyped-call]


@torch.no_grad()
def others_maximum(query: Tensor, reference: Tensor, tile: int = TILE) -> Tensor:
    """Largest cosine `(B, K)` with the same crop of the other clips, of unit vectors `(B, K, D)`; -inf without one."""
    query, reference = _by_crop(query), _by_crop(reference)
    found = [_scores(query[:, part], reference, part, -math.inf).amax(-1) for part in _parts(query, tile)]
    return torch.cat(found, 1).T


def _once(backward: Backward) -> Backward:
    """A backward pass in float32, also where autocast is on, that cannot be differentiated, and says so."""

    @wraps(backward)
    def run(ctx: Any, upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "expected a first derivative of a tiled contrast, got create_graph=True: it has no second"
            )
        with torch.autocast(upstream.device.type, enabled=False):
            return backward(ctx, upstream)

    return run


class _PairInfoNCE(torch.autograd.Function):
    """See `pair_info_nce`; one exponential a similarity."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, temperature: float, tile: int) -> Tensor:
        """Loss; sums of rows and columns are saved, and the exponentials of a single tile."""
        rows, columns = a.new_empty(len(a)), a.new_zeros(len(a))
        exponentials = None
        for start in range(0, len(a), tile):
            exponentials = _exponentials(a[start : start + tile], b, temperature)
            rows[start : start + tile] = exponentials.sum(1)
            columns += exponentials.sum(0)
        ctx.save_for_backward(a, b, rows, columns, exponentials if len(a) <= tile else None)
        ctx.temperature, ctx.tile = temperature, tile
        return ((rows.log() + columns.log()) / 2 - ((a * b).sum(1) - 1) / temperature).mean()

    @staticmethod
    @_once
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Gradient, from exponentials recomputed per tile."""
        a, b, rows, columns, kept = ctx.saved_tensors
        half = upstream / (2 * ctx.temperature * len(a))
        to_a, to_b = -2 * b, -2 * a
        by_row, by_column = 1 / rows[:, None], 1 / columns
        for start in range(0, len(a), ctx.tile):
            part = slice(start, start + ctx.tile)
            exponentials = _exponentials(a[part], b, ctx.temperature) if kept is None else kept
            weight = (by_row[part] + by_column).mul_(exponentials)
            to_a[part].addmm_(weight, b)
            to_b.addmm_(weight.T, a[part])
        return to_a.mul_(half), to_b.mul_(half), None, None


class _SharpPairInfoNCE(torch.autograd.Function):
    """See `pair_info_nce`; for temperatures at which exponentials without the maximum would vanish."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, temperature: float, tile: int) -> Tensor:
        """Loss; normalisers of rows and columns are saved."""
        a = a / temperature
        row, column = a.new_empty(len(a)), a.new_full((len(a),), -math.inf)
        for start in range(0, len(a), tile):
            scores = a[start : start + tile] @ b.T
            row[start : start + tile] = scores.logsumexp(1)
            column = torch.logaddexp(column, scores.logsumexp(0))
        ctx.save_for_backward(a, b, row, column)
        ctx.temperature, ctx.tile = temperature, tile
        return ((row + column) / 2 - (a * b).sum(1)).mean()

    @staticmethod
    @_once
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Gradient, from similarities recomputed per tile."""
        a, b, row, column = ctx.saved_tensors
        to_a, to_b = -b, -a
        for start in range(0, len(a), ctx.tile):
            part = slice(start, start + ctx.tile)
            scores = a[part] @ b.T
            weight = ((scores - row[part, None]).exp_() + (scores - column).exp_()) / 2
            to_a[part] += weight @ b
            to_b += weight.T @ a[part]
        return to_a * (upstream / (len(a) * ctx.temperature)), to_b * (upstream / len(a)), None, None


class _OthersLogSumExp(torch.autograd.Function):
    """See `others_logsumexp`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, reference: Tensor, temperature: float, tile: int) -> Tensor:
        """Logarithms; they and the embeddings are saved."""
        query, reference = _by_crop(query) / temperature, _by_crop(reference)
        bounded, found = temperature >= LEAST_TEMPERATURE, query.new_empty(query.shape[:2])
        for part in _parts(query, tile):
            scores = _scores(query[:, part], reference, part, -math.inf)
            if bounded:
                found[:, part] = scores.sub_(1 / temperature).exp_().sum(-1).log_() + 1 / temperature
            else:
                found[:, part] = scores.logsumexp(-1)
        ctx.save_for_backward(query, reference, found)
        ctx.temperature, ctx.tile = temperature, tile
        return found.T.contiguous()

    @staticmethod
    @_once
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        """Gradient, from similarities recomputed per tile."""
        query, reference, found = ctx.saved_tensors
        upstream, to_query, to_reference = upstream.T, torch.empty_like(query), torch.zeros_like(reference)
        for part in _parts(query, ctx.tile):
            scores = query[:, part] @ reference.mT
            weight = scores.sub_(found[:, part, None]).exp_().mul_(upstream[:, part, None])
            _own(weight, part).zero_()
            to_query[:, part] = weight @ reference
            to_reference.baddbmm_(weight.mT, query[:, part])
        return to_query.div_(ctx.temperature).transpose(0, 1), to_reference.transpose(0, 1), None, None


class _OthersSoftplus(torch.autograd.Function):
    """See `others_softplus`."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, reference: Tensor, scale: Tensor, bias: Tensor, tile: int) -> Tensor:
        """Sums; the embeddings are saved."""
        query, reference = _by_crop(query), _by_crop(reference)
        found = query.new_empty(query.shape[:2])
        for part in _parts(query, tile):
            logits = (query[:, part] @ reference.mT).mul_(scale).add_(bias)
            _own(logits, part).fill_(-math.inf)
            found[:, part] = functional.softplus(logits).sum(-1)
        ctx.save_for_backward(query, reference, scale, bias)
        ctx.tile = tile
        return found.T.contiguous()

    @staticmethod
    @_once
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        """Gradient, from similarities recomputed per tile."""
        query, reference, scale, bias = ctx.saved_tensors
        upstream, to_query, to_reference = upstream.T, torch.empty_like(query), torch.zeros_like(reference)
        to_bias = torch.zeros_like(bias)
        for part in _parts(query, ctx.tile):
            logits = (query[:, part] @ reference.mT).mul_(scale).add_(bias)
            weight = logits.sigmoid_().mul_(upstream[:, part, None])
            _own(weight, part).zero_()
            to_bias += weight.sum()
            to_query[:, part] = weight @ reference
            to_reference.baddbmm_(weight.mT, query[:, part])
        to_scale = (to_query * query).sum()  # of each logit, its cosine
        both = (each.mul_(scale).transpose(0, 1) for each in (to_query, to_reference))
        return *both, to_scale.view_as(scale), to_bias, None


def _exponentials(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """exp((cos - 1) / temperature) of unit vectors, in (0, 1]."""
    return torch.addmm(a.new_tensor(-1 / temperature), a, b.T, alpha=1 / temperature).exp_()


def _by_crop(rows: Tensor) -> Tensor:
    """`(B, K, D)` to `(K, B, D)`."""
    return rows.transpose(0, 1).contiguous()


def _parts(query: Tensor, tile: int) -> Iterator[slice]:
    """Slices of the clips of `(K, B, D)` whose crops are together at most `tile`."""
    crops, clips = query.shape[:2]
    count = max(1, tile // crops)
    return (slice(start, min(start + count, clips)) for start in range(0, clips, count))


def _scores(query: Tensor, reference: Tensor, part: slice, own: float) -> Tensor:
    """Products `(K, part, B)`, those of a clip with itself replaced."""
    scores = query @ reference.mT
    _own(scores, part).fill_(own)
    return scores


def _own(scores: Tensor, part: slice) -> Tensor:
    """The entries of `(K, part, B)` at which a clip meets itself."""
    return scores.diagonal(part.start, 1, 2)
