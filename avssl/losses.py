"""Contrastive losses between two modalities, over the batch of all processes, in float32 also under autocast."""

# B clips (of all processes), K crops of a clip, D embedding, N candidates

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

from avssl.errors import InputError

NEGATIVES = ("easy+hard", "easy", "hard")
TILE = 2048


class AlignmentAccuracy(NamedTuple):
    """Fractions of crops whose matching embedding has the highest similarity."""

    hard: Tensor
    """Among the crops of the same clip (AVSA's "AVSA-Acc"); chance is 1/K."""
    easy: Tensor
    """Among the same crop of all clips (AVSA's "AVC-Acc"); chance is 1/B."""


def gather(rows: Tensor) -> Tensor:
    """Gather the rows of all processes in rank order, differentiable; for one process, `rows` itself.

    Every process then computes the same loss over the whole batch; gradients summed by the gather and averaged by
    DistributedDataParallel equal those of one process with the whole batch.

    Args:
        rows: `(rows, ...)`, of the same shape on every process.
    """
    if process_count() == 1:
        return rows
    return _Gather.apply(rows)  # type: ignore[no-any-return, no-untyped-call]


def process_count() -> int:
    """Number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.07, tile: int = TILE) -> Tensor:
    """Symmetric cross-modal InfoNCE: row i of `a` and row i of `b` are a positive pair, all other rows negatives.

    Negatives are from the batch of all processes. Similarities are computed per tile of rows, and recomputed for the
    gradient, so that memory grows as B times `tile`.

    Args:
        a: `(B, D)` embeddings, normalised here.
        b: `(B, D)`.
        temperature: softmax temperature.
        tile: rows of similarities in memory.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> pairs = torch.eye(4)
        >>> bool(info_nce(pairs, pairs) < 1e-4)  # every row finds its partner
        True
    """
    _require_pairs(a, b, 2)
    with torch.autocast(a.device.type, enabled=False):
        return _InfoNCE.apply(_unit(a) / temperature, _unit(b), tile)  # type: ignore[no-any-return, no-untyped-call]


def similarity_info_nce(logits: Tensor) -> Tensor:
    """Symmetric InfoNCE of a matrix of logits, both ways: entry (i, i) is of a positive pair, all others of negatives.

    Args:
        logits: `(B, B)`, similarities over the temperature.

    Raises:
        InputError: not square.
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise InputError(f"expected a square matrix of logits, got {tuple(logits.shape)}")
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        return ((logits.logsumexp(0) + logits.logsumexp(1)) / 2 - logits.diagonal()).mean()


def alignment_loss(
    predicted: Tensor,
    target: Tensor,
    temperature: float = 0.07,
    negatives: str = "easy+hard",
    further: Tensor | None = None,
) -> Tensor:
    """AVSA's loss in one direction (Morgado 2020): classify the matching crop among candidates.

    Candidates for crop j are the K crops of the same clip (hard) and crop j of the other B - 1 clips (easy), B + K - 1
    in all, and the further negatives of that crop.

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.
        temperature: softmax temperature.
        negatives: `easy+hard`, `easy` (other clips only) or `hard` (same clip only).
        further: `(B, K, Y, D)` in the other modality, Y further negatives of each crop; None: none.

    Raises:
        ValueError: shapes differ, or unknown `negatives`.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        positive, candidates = alignment_scores(predicted, target, negatives, further)
        return ((candidates / temperature).logsumexp(-1) - positive / temperature).mean()


def alignment_scores(
    predicted: Tensor, target: Tensor, negatives: str = "easy+hard", further: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine similarities of each predicted crop and its candidates, see `alignment_loss`, over all processes.

    Returns:
        float32 `(B, K)` of the positives, and `(B, K, N)` of all candidates, the positive once among them; -inf where
        a place has no candidate.

    Raises:
        ValueError: shapes differ, or unknown `negatives`.
    """
    _require_pairs(predicted, target, 3)
    if further is not None and (further.shape[:2], further.shape[3:]) != (target.shape[:2], target.shape[2:]):
        raise InputError(f"expected further negatives (B, K, Y, D), got {tuple(further.shape)}")
    if negatives not in NEGATIVES:
        raise InputError(f"expected negatives {', '.join(NEGATIVES)}, got {negatives!r}")
    predicted = _unit(predicted)
    hard, easy = _scores(predicted, _unit(target))
    positive = hard.diagonal(dim1=1, dim2=2)
    kinds = {"hard": [hard], "easy": [positive[..., None], easy], "easy+hard": [hard, easy]}[negatives]
    if further is not None:
        kinds.append(torch.einsum("ikd,ikyd->iky", predicted, _unit(further)))
    return positive, torch.cat(kinds, -1)


@torch.no_grad()
def further_accuracy(predicted: Tensor, target: Tensor, further: Tensor) -> Tensor:
    """Fraction of crops whose match has at least the similarity of all further negatives; chance is 1/(1 + Y).

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.
        further: `(B, K, Y, D)` in the other modality.

    Raises:
        ValueError: shapes differ.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        positive, candidates = alignment_scores(predicted, target, "hard", further)
    return (positive >= candidates[..., target.shape[1] :].amax(-1)).float().mean()


@torch.no_grad()
def alignment_accuracy(predicted: Tensor, target: Tensor) -> AlignmentAccuracy:
    """Retrieval accuracy of the matching crop; ties count as correct, as in AVSA's code.

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.

    Raises:
        ValueError: shapes differ.
    """
    _require_pairs(predicted, target, 3)
    with torch.autocast(predicted.device.type, enabled=False):
        hard, easy = _scores(_unit(predicted), _unit(target))
    positive = hard.diagonal(dim1=1, dim2=2)
    return AlignmentAccuracy((positive >= hard.amax(-1)).float().mean(), (positive >= easy.amax(-1)).float().mean())


def _scores(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine similarities `(B, K, K)` within a clip, and `(B, K, B)` with the same crop of other clips (own: -inf)."""
    hard = predicted @ target.transpose(1, 2)
    easy = torch.einsum("ikd,jkd->ikj", predicted, target)
    own = torch.eye(len(easy), dtype=torch.bool, device=easy.device)
    return hard, easy.masked_fill(own[:, None], -math.inf)


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(gather(rows.float()), dim=-1)


def _require_pairs(a: Tensor, b: Tensor, dimensions: int) -> None:
    if a.shape != b.shape or a.ndim != dimensions:
        shapes = f"{tuple(a.shape)} and {tuple(b.shape)}"
        raise InputError(f"expected two batches of one shape and {dimensions} dimensions, got {shapes}")


class _Gather(torch.autograd.Function):
    """Differentiable all-gather; the gradient is summed over the processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """Rows of all processes."""
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # type: ignore[override]
        """Rows of this process in the summed gradient."""
        upstream = upstream.contiguous().clone()
        distributed.all_reduce(upstream)
        return upstream.chunk(distributed.get_world_size())[distributed.get_rank()]


class _InfoNCE(torch.autograd.Function):
    """Mean -log softmax, over rows and over columns of `a @ b.T`, at the diagonal, without storing all similarities."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, tile: int) -> Tensor:
        """Loss; normalisers of rows and columns are saved."""
        rows, columns = [], []
        for start in range(0, len(a), tile):
            scores = a[start : start + tile] @ b.T
            rows.append(scores.logsumexp(1))
            columns.append(scores.logsumexp(0))
        row, column = torch.cat(rows), torch.stack(columns).logsumexp(0)
        ctx.save_for_backward(a, b, row, column)
        ctx.tile = tile
        return ((row + column) / 2 - (a * b).sum(1)).mean()

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        """Gradient, from similarities recomputed per tile."""
        a, b, row, column = ctx.saved_tensors
        with torch.autocast(a.device.type, enabled=False):
            to_a, to_b = -b, -a
            for start in range(0, len(a), ctx.tile):
                part = slice(start, start + ctx.tile)
                scores = a[part] @ b.T
                weight = ((scores - row[part, None]).exp_() + (scores - column).exp_()) / 2
                to_a[part] += weight @ b
                to_b = to_b + weight.T @ a[part]
            return to_a * (upstream / len(a)), to_b * (upstream / len(a)), None
