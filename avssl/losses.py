"""Contrastive losses between two modalities, over the batch of all processes, in float32 also under autocast."""

# B clips (of all processes), K crops of a clip, D embedding, N candidates

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

from avssl.errors import InputError
from avssl.tiled_contrast import TILE, others_logsumexp, others_maximum, pair_info_nce

NEGATIVES = ("easy+hard", "easy", "hard")


class AlignmentAccuracy(NamedTuple):
    """Fractions of crops whose matching embedding has the highest similarity."""

    hard: Tensor
    """Among the crops of the same clip (AVSA's "AVSA-Acc"); chance is 1/K."""
    easy: Tensor
    """Among the same crop of all clips (AVSA's "AVC-Acc"); chance is 1/B."""


class Candidates(NamedTuple):
    """Unit vectors of all processes, and the cosines of a crop with the candidates of its own clip."""

    predicted: Tensor
    """`(B, K, D)`."""
    target: Tensor
    """`(B, K, D)`."""
    positive: Tensor
    """`(B, K)`: cosine with the match."""
    own: Tensor
    """`(B, K, N)`: cosines with the candidates of the own clip, the match among them, and with further negatives."""


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


def gather_together(*rows: Tensor) -> tuple[Tensor, ...]:
    """`gather` of several tensors `(rows, ...)` by one collective, in float32; for one process, the tensors themselves.

    Args:
        rows: tensors with as many rows as each other.
    """
    if process_count() == 1:
        return rows
    flat = [each.float().flatten(1) for each in rows]
    parts = torch.split(gather(torch.cat(flat, 1)), [each.shape[1] for each in flat], 1)
    return tuple(part.reshape(-1, *each.shape[1:]) for part, each in zip(parts, rows, strict=True))


def process_count() -> int:
    """Number of processes that share a batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def info_nce(a: Tensor, b: Tensor, temperature: float = 0.07, tile: int = TILE, *, gathered: bool = False) -> Tensor:
    """Symmetric cross-modal InfoNCE: row i of `a` and row i of `b` are a positive pair, all other rows negatives.

    Negatives are from the batch of all processes. Similarities are computed per tile of rows, and recomputed for the
    gradient, so that memory grows as B times `tile`. The gradient itself cannot be differentiated.

    Args:
        a: `(B, D)` embeddings, normalised here.
        b: `(B, D)`.
        temperature: softmax temperature.
        tile: rows of similarities in memory.
        gathered: the rows are of all processes already, by `gather` or `gather_together`.

    Raises:
        ValueError: shapes differ.

    Example:
        >>> pairs = torch.eye(4)
        >>> bool(info_nce(pairs, pairs) < 1e-4)  # every row finds its partner
        True
    """
    _require_pairs(a, b, 2)
    with torch.autocast(a.device.type, enabled=False):
        return pair_info_nce(_unit(a, gathered), _unit(b, gathered), temperature, tile)


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
    *,
    tile: int = TILE,
    gathered: bool = False,
) -> Tensor:
    """AVSA's loss in one direction (Morgado 2020): classify the matching crop among candidates.

    Candidates for crop j are the K crops of the same clip (hard) and crop j of the other B - 1 clips (easy), B + K - 1
    in all, and the further negatives of that crop. Similarities with other clips are computed per tile, as in
    `info_nce`.

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.
        temperature: softmax temperature.
        negatives: `easy+hard`, `easy` (other clips only) or `hard` (same clip only).
        further: `(B, K, Y, D)` in the other modality, Y further negatives of each crop; None: none.
        tile: crops whose similarities are in memory.
        gathered: the rows are of all processes already, by `gather` or `gather_together`.

    Raises:
        ValueError: shapes differ, or unknown `negatives`.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        found = alignment_candidates(predicted, target, negatives, further, gathered=gathered)
        kinds = [found.own / temperature]
        if negatives != "hard":
            kinds.append(others_logsumexp(found.predicted, found.target, temperature, tile)[..., None])
        return (torch.cat(kinds, -1).logsumexp(-1) - found.positive / temperature).mean()


def alignment_candidates(
    predicted: Tensor,
    target: Tensor,
    negatives: str = "easy+hard",
    further: Tensor | None = None,
    *,
    gathered: bool = False,
) -> Candidates:
    """Unit vectors of all processes and the cosines within a clip, see `alignment_loss`; without those of other clips.

    Raises:
        ValueError: shapes differ, or unknown `negatives`.
    """
    _require_pairs(predicted, target, 3)
    if further is not None and (further.shape[:2], further.shape[3:]) != (target.shape[:2], target.shape[2:]):
        raise InputError(f"expected further negatives (B, K, Y, D), got {tuple(further.shape)}")
    if negatives not in NEGATIVES:
        raise InputError(f"expected negatives {', '.join(NEGATIVES)}, got {negatives!r}")
    predicted, target = _unit(predicted, gathered), _unit(target, gathered)
    hard = predicted @ target.mT
    positive = hard.diagonal(dim1=1, dim2=2)
    kinds = [positive[..., None] if negatives == "easy" else hard]
    if further is not None:
        kinds.append(torch.einsum("ikd,ikyd->iky", predicted, _unit(further, gathered)))
    return Candidates(predicted, target, positive, torch.cat(kinds, -1))


@torch.no_grad()
def further_accuracy(predicted: Tensor, target: Tensor, further: Tensor, *, gathered: bool = False) -> Tensor:
    """Fraction of crops whose match has at least the similarity of all further negatives; chance is 1/(1 + Y).

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.
        further: `(B, K, Y, D)` in the other modality.
        gathered: the rows are of all processes already, by `gather` or `gather_together`.

    Raises:
        ValueError: shapes differ.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        found = alignment_candidates(predicted, target, "easy", further, gathered=gathered)
    return (found.positive >= found.own[..., 1:].amax(-1)).float().mean()


@torch.no_grad()
def alignment_accuracy(predicted: Tensor, target: Tensor, *, gathered: bool = False) -> AlignmentAccuracy:
    """Retrieval accuracy of the matching crop; ties count as correct, as in AVSA's code.

    Args:
        predicted: `(B, K, D)` embeddings, normalised here.
        target: `(B, K, D)` in the other modality.
        gathered: the rows are of all processes already, by `gather` or `gather_together`.

    Raises:
        ValueError: shapes differ.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        found = alignment_candidates(predicted, target, gathered=gathered)
        others = others_maximum(found.predicted, found.target)
    hard, easy = found.positive >= found.own.amax(-1), found.positive >= others
    return AlignmentAccuracy(hard.float().mean(), easy.float().mean())


def _unit(rows: Tensor, gathered: bool) -> Tensor:
    return F.normalize(rows.float() if gathered else gather(rows.float()), dim=-1)


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
