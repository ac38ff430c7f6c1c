"""Cross-modal retrieval: R@1, R@5, R@10 and MAP@R by pytorch-metric-learning, median rank, with chance levels."""

# Q queries, N references, D embedding, R relevant references of a query

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avssl.errors import InputError

AUDIO_TO_VIDEO, VIDEO_TO_AUDIO = "audio_to_video", "video_to_audio"
"""Directions, as names of metrics begin."""
RANKS = (1, 5, 10)
MAP_R, MEDIAN_RANK = "map_r", "median_rank"
METRICS = (*(f"r{rank}" for rank in RANKS), MAP_R, MEDIAN_RANK)
CHANCE = "_chance"
BLOCK = 256
"""Queries per block of the similarity matrix."""


def retrieval_metrics(
    query: Tensor, query_label: Tensor, reference: Tensor, reference_label: Tensor, block: int = BLOCK
) -> dict[str, float]:
    """Retrieval metrics of references by cosine similarity; references of the query's label are relevant.

    R@k is the fraction of queries with a relevant reference among the k nearest; MAP@R is the mean average precision
    over the R nearest, for a query with R relevant references (Musgrave 2020); the median rank is that of the nearest
    relevant reference, from 1. Memory grows as `block` times N.

    Args:
        query: `(Q, D)` embeddings, not normalised.
        query_label: `(Q,)` integers.
        reference: `(N, D)` in the other modality.
        reference_label: `(N,)` integers; every query label occurs.
        block: queries per block.

    Returns:
        `r1`, `r5`, `r10`, `map_r` as fractions and `median_rank`, and with suffix `_chance` their expectation (of the
        rank: its median) in random order.

    Raises:
        InputError: inconsistent shapes, embeddings not finite, or a query without relevant reference.

    Example:
        >>> scores = retrieval_metrics(torch.eye(4), torch.arange(4), torch.eye(4), torch.arange(4))
        >>> scores["r1"], scores["r1_chance"]
        (1.0, 0.25)
    """
    labels = _label_indices(query, query_label, reference, reference_label)
    relevant = np.bincount(labels[1])[labels[0]]
    count = len(reference)
    with torch.inference_mode():
        scores = _calculator(count, int(relevant.max()), block).get_accuracy(
            query.float(), torch.from_numpy(labels[0]), reference.float(), torch.from_numpy(labels[1])
        )
    metrics = {"r1": scores["precision_at_1"], MAP_R: scores["mean_average_precision_at_r"]}
    metrics |= {f"r{rank}": scores[f"recall_at_{rank}"] for rank in RANKS[1:]}
    chance = {f"r{rank}": chance_recall(count, relevant, rank) for rank in RANKS}
    chance |= {MAP_R: chance_map_at_r(count, relevant), MEDIAN_RANK: chance_median_rank(count, relevant)}
    metrics[MEDIAN_RANK] = float(np.median(nearest_ranks(query, labels[0], reference, labels[1], block)))
    return {name + end: values[name] for name in METRICS for end, values in (("", metrics), (CHANCE, chance))}


def chance_recall(count: int, relevant: NDArray[np.int64], rank: int) -> float:
    """Expected R@k of references in random order: one minus the probability of k irrelevant ones.

    Args:
        count: references.
        relevant: `(Q,)` number of relevant references of each query.
        rank: k.
    """
    ranks = np.arange(min(rank, count))
    missed = np.clip((count - relevant[:, None] - ranks) / (count - ranks), 0, None).prod(1)
    return float(1 - missed.mean())


def chance_map_at_r(count: int, relevant: NDArray[np.int64]) -> float:
    """Expected MAP@R of references in random order.

    At rank i a reference is relevant with probability R/N; then (i - 1) (R - 1)/(N - 1) of those before it are.

    Args:
        count: references.
        relevant: `(Q,)` number of relevant references of each query.
    """
    expected = []
    for each in relevant.tolist():
        ranks = np.arange(1, each + 1)
        precision = (1 + (ranks - 1) * (each - 1) / max(count - 1, 1)) / ranks
        expected.append(precision.mean() * each / count)
    return float(np.mean(expected))


def chance_median_rank(count: int, relevant: NDArray[np.int64]) -> float:
    """Median rank of the nearest relevant reference in random order: least k with a chance of R@k of one half.

    Args:
        count: references.
        relevant: `(Q,)` number of relevant references of each query.
    """
    return float(1 + bisect_left(range(1, count), 0.5, key=lambda rank: chance_recall(count, relevant, rank)))


def retrieval_of_scores(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> dict[str, float]:
    """Recalls and median rank of references that are ordered by a score; among equal ones, in random order.

    Args:
        scores: `(Q, N)`; higher: nearer.
        relevant: `(Q, N)`; at least one reference of each query is.

    Returns:
        `r1`, `r5` and `r10`, expected fractions of queries with a relevant reference among the k nearest, and
        `median_rank` of the nearest relevant reference, from 1; irrelevant ones that are equal to it count half.

    Example:
        >>> retrieval_of_scores(np.array([[1.0, 1.0, 0.0]]), np.array([[True, False, False]]))
        {'r1': 0.5, 'r5': 1.0, 'r10': 1.0, 'median_rank': 1.5}
    """
    best = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    before, equal = (scores > best).sum(1), scores == best
    tied, found = equal.sum(1), (equal & relevant).sum(1)
    recalls = {}
    for rank in RANKS:
        drawn = np.arange(rank)
        missed = np.clip((tied - found)[:, None] - drawn, 0, None) / np.clip(tied[:, None] - drawn, 1, None)
        taken = drawn < (rank - before)[:, None]  # places that are left for the tied ones
        recalls[f"r{rank}"] = float(1 - np.where(taken, missed, 1.0).prod(1).mean())
    return {**recalls, MEDIAN_RANK: float(np.median(1 + before + (tied - found) / 2))}


def nearest_ranks(
    query: Tensor, query_label: NDArray[np.int64], reference: Tensor, reference_label: NDArray[np.int64], block: int
) -> NDArray[np.float64]:
    """Rank `(Q,)` of the nearest relevant reference of each query, from 1; ties with others count half."""
    unit, own = functional.normalize(reference.double(), dim=-1), torch.from_numpy(reference_label)
    found = []
    for rows, labels in zip(
        torch.split(query.double(), block), torch.split(torch.from_numpy(query_label), block), strict=True
    ):
        similarity, relevant = functional.normalize(rows, dim=-1) @ unit.T, labels[:, None] == own
        best = similarity.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)
        equal = ((similarity == best) & ~relevant).sum(1)
        found.append(1 + (similarity > best).sum(1) + equal / 2)
    return torch.cat(found).cpu().numpy().astype(float)


def _label_indices(
    query: Tensor, query_label: Tensor, reference: Tensor, reference_label: Tensor
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Check inputs, and number labels from 0: pytorch-metric-learning compares them in float32."""
    shapes = [tuple(each.shape) for each in (query, query_label, reference, reference_label)]
    fits = query.ndim == reference.ndim == 2 and query.shape[1] == reference.shape[1]
    if not fits or query_label.shape != query.shape[:1] or reference_label.shape != reference.shape[:1]:
        raise InputError(f"expected embeddings (Q, D) and (N, D) with a label each, got {shapes}")
    for name, each in (("queries", query), ("references", reference)):
        if not each.isfinite().all():
            raise InputError(f"expected finite embeddings, got NaN or Inf among the {name}")
    _, labels = np.unique(torch.cat([query_label, reference_label]).cpu().numpy(), return_inverse=True)
    query_index, reference_index = labels[: len(query)], labels[len(query) :]
    if not len(query) or not np.isin(query_index, reference_index).all():
        raise InputError(
            "expected queries with at least one reference of the same label each, got none or some without"
        )
    return query_index, reference_index


def _calculator(count: int, relevant: int, block: int) -> Any:
    """Metrics of pytorch-metric-learning and recalls, with neighbours by torch instead of faiss."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    class Calculator(AccuracyCalculator):  # type: ignore[misc]
        """Metrics are methods `calculate_NAME`."""

        def calculate_recall_at_5(self, knn_labels: Tensor, query_labels: Tensor, **_: Any) -> float:
            return _recall(knn_labels, query_labels, 5)

        def calculate_recall_at_10(self, knn_labels: Tensor, query_labels: Tensor, **_: Any) -> float:
            return _recall(knn_labels, query_labels, 10)

    names = ("precision_at_1", "mean_average_precision_at_r", "recall_at_5", "recall_at_10")
    nearest = min(max(*RANKS, relevant), count)
    neighbours = CustomKNN(CosineSimilarity(), batch_size=block)
    return Calculator(include=names, k=nearest, knn_func=neighbours, device=torch.device("cpu"))


def _recall(knn_labels: Tensor, query_labels: Tensor, rank: int) -> float:
    return float((knn_labels[:, :rank] == query_labels[:, None]).any(1).double().mean())
