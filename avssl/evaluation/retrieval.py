"""Cross-modal retrieval: R@1, R@5, R@10 and MAP@R by pytorch-metric-learning, with the values of a random order."""

# Q queries, N references, D embedding, R references that are relevant to a query

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError

RANKS = (1, 5, 10)
MAP_R = "map_r"
METRICS = (*(f"r{rank}" for rank in RANKS), MAP_R)
CHANCE = "_chance"
BLOCK = 256
"""Queries whose similarities to all references are held at once."""


def retrieval_metrics(
    query: Tensor, query_label: Tensor, reference: Tensor, reference_label: Tensor, block: int = BLOCK
) -> dict[str, float]:
    """Retrieval of references by cosine similarity to queries; relevant are the references of the query's label.

    R@k is the share of queries with a relevant reference among the k nearest; MAP@R is the mean average precision over
    the R nearest, of a query with R relevant references (Musgrave 2020). Memory grows as `block` times N.

    Args:
        query: `(Q, D)` embeddings of any length.
        query_label: `(Q,)` integers.
        reference: `(N, D)` in the other modality.
        reference_label: `(N,)`; each label of a query is among them.
        block: queries compared at once.

    Returns:
        `r1`, `r5`, `r10`, `map_r`, each as a share, and with the ending `_chance` the expectation in random order.

    Raises:
        InputError: shapes do not fit, embeddings are not finite, or a query has no relevant reference.

    Example:
        >>> scores = retrieval_metrics(torch.eye(4), torch.arange(4), torch.eye(4), torch.arange(4))
        >>> scores["r1"], scores["r1_chance"]
        (1.0, 0.25)
    """
    labels = _checked(query, query_label, reference, reference_label)
    relevant = np.bincount(labels[1])[labels[0]]
    count = len(reference)
    with torch.inference_mode():
        scores = _calculator(count, int(relevant.max()), block).get_accuracy(
            query.float(), torch.from_numpy(labels[0]), reference.float(), torch.from_numpy(labels[1])
        )
    found = {"r1": scores["precision_at_1"], MAP_R: scores["mean_average_precision_at_r"]}
    found |= {f"r{rank}": scores[f"recall_at_{rank}"] for rank in RANKS[1:]}
    chance = {f"r{rank}": chance_recall(count, relevant, rank) for rank in RANKS}
    chance[MAP_R] = chance_map_at_r(count, relevant)
    return {name + end: values[name] for name in METRICS for end, values in (("", found), (CHANCE, chance))}


def chance_recall(count: int, relevant: NDArray[np.int64], rank: int) -> float:
    """Expected R@k of references in random order: one minus the probability of k irrelevant ones.

    Args:
        count: references.
        relevant: `(Q,)` how many of them are relevant to each query.
        rank: k.
    """
    drawn = np.arange(min(rank, count))
    missed = np.clip((count - relevant[:, None] - drawn) / (count - drawn), 0, None).prod(1)
    return float(1 - missed.mean())


def chance_map_at_r(count: int, relevant: NDArray[np.int64]) -> float:
    """Expected MAP@R of references in random order.

    At rank i a reference is relevant with probability R/N; given that, (i - 1) (R - 1)/(N - 1) of those before it are.

    Args:
        count: references.
        relevant: `(Q,)` how many of them are relevant to each query.
    """
    expected = []
    for each in relevant.tolist():
        ranks = np.arange(1, each + 1)
        precision = (1 + (ranks - 1) * (each - 1) / max(count - 1, 1)) / ranks
        expected.append(precision.mean() * each / count)
    return float(np.mean(expected))


def _checked(
    query: Tensor, query_label: Tensor, reference: Tensor, reference_label: Tensor
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels as integers from 0: pytorch-metric-learning compares them in float32."""
    shapes = [tuple(each.shape) for each in (query, query_label, reference, reference_label)]
    fits = query.ndim == reference.ndim == 2 and query.shape[1] == reference.shape[1]
    if not fits or query_label.shape != query.shape[:1] or reference_label.shape != reference.shape[:1]:
        raise InputError(f"expected embeddings (Q, D) and (N, D) with a label each, got {shapes}")
    for name, each in (("queries", query), ("references", reference)):
        if not each.isfinite().all():
            raise InputError(f"expected finite embeddings, got NaN or Inf among the {name}")
    _, labels = np.unique(torch.cat([query_label, reference_label]).cpu().numpy(), return_inverse=True)
    mine, theirs = labels[: len(query)], labels[len(query) :]
    if not len(query) or not np.isin(mine, theirs).all():
        raise InputError("expected queries, each with a reference of its label, got none or some without")
    return mine, theirs


def _calculator(count: int, relevant: int, block: int) -> Any:
    """pytorch-metric-learning's metrics, with recalls beside them and neighbours found by torch instead of faiss."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    class Calculator(AccuracyCalculator):  # type: ignore[misc]
        """Finds each method `calculate_NAME` by its name."""

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
