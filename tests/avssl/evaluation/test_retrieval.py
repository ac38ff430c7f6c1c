"""Retrieval metrics against sorting in plain Python, and chance levels against random orders."""

import re
import sys

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avssl.evaluation import retrieval
from avssl.evaluation.retrieval import (
    METRICS,
    chance_map_at_r,
    chance_median_rank,
    chance_recall,
    nearest_ranks,
    retrieval_metrics,
    retrieval_of_scores,
)


def by_hand(query: Tensor, query_label: Tensor, reference: Tensor, reference_label: Tensor) -> dict[str, float]:
    """Metrics by sorting the references of each query by cosine similarity."""
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for each, label in zip(query.double(), query_label.tolist(), strict=True):
        cosines = [float(each @ other / (each.norm() * other.norm())) for other in reference.double()]
        order = sorted(range(len(cosines)), key=lambda place: -cosines[place])
        hits = [bool(reference_label[place] == label) for place in order]
        relevant = sum(hits)
        for rank in (1, 5, 10):
            found[f"r{rank}"].append(float(any(hits[:rank])))
        precision = [sum(hits[: place + 1]) / (place + 1) for place in range(relevant) if hits[place]]
        found["map_r"].append(sum(precision) / relevant)
        found["median_rank"].append(1.0 + hits.index(True))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return means | {"median_rank": float(np.median(found["median_rank"]))}


def example(queries: int, references: int, labels: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(labels, 6, generator=generator)
    reference_label = torch.cat(
        [torch.arange(labels), torch.randint(labels, (references - labels,), generator=generator)]
    )
    query_label = torch.randint(labels, (queries,), generator=generator)
    embeddings = [
        centres[each] + 1.2 * torch.randn(len(each), 6, generator=generator) for each in (query_label, reference_label)
    ]
    return embeddings[0], query_label, embeddings[1], reference_label


@pytest.mark.parametrize(("queries", "references", "labels"), [(40, 60, 12), (30, 30, 30), (25, 7, 3), (5, 90, 2)])
@pytest.mark.parametrize("block", [4, 256])
def test_metrics_equal_sorting_by_hand(queries: int, references: int, labels: int, block: int) -> None:
    given = example(queries, references, labels, seed=queries)
    found = retrieval_metrics(*given, block=block)
    expected = by_hand(*given)
    assert list(found) == [f"{name}{end}" for name in METRICS for end in ("", "_chance")]
    assert {name: found[name] for name in METRICS} == pytest.approx(expected, abs=1e-9)
    assert 0 < expected["r1"] < 1 or labels in (2, 3)


def test_with_one_relevant_reference_map_is_recall_at_one() -> None:
    query, _, reference, _ = example(50, 50, 50, seed=1)
    found = retrieval_metrics(query, torch.arange(50), reference, torch.arange(50))
    assert found["map_r"] == found["r1"]
    assert [found[f"r{rank}_chance"] for rank in (1, 5, 10)] == pytest.approx([1 / 50, 5 / 50, 10 / 50])
    assert found["map_r_chance"] == pytest.approx(1 / 50)


def test_chance_is_the_mean_over_random_orders() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 5, 5])
    relevant = np.bincount(labels)[labels]
    runs = []
    for _ in range(200):
        query, reference = (torch.from_numpy(rng.standard_normal((13, 4))) for _ in range(2))
        runs.append(by_hand(query, torch.from_numpy(labels), reference, torch.from_numpy(labels)))
    for rank in (1, 5, 10):
        assert np.mean([run[f"r{rank}"] for run in runs]) == pytest.approx(chance_recall(13, relevant, rank), abs=0.03)
    assert np.mean([run["map_r"] for run in runs]) == pytest.approx(chance_map_at_r(13, relevant), abs=0.015)
    assert chance_recall(13, relevant, 13) == 1.0


def test_chance_of_the_median_rank_in_closed_form() -> None:
    one = np.ones(7, int)
    assert [chance_median_rank(count, one) for count in (1, 2, 10, 1000)] == [1, 1, 5, 500]
    assert chance_median_rank(4, np.array([4])) == 1
    # One of two relevant among four is first with 1/2; two of a thousand: the least k with 1 - C(998, k) / C(1000, k).
    assert chance_median_rank(4, np.array([2])) == 1
    expected = next(k for k in range(1, 1000) if 1 - (1000 - k) * (999 - k) / (1000 * 999) >= 0.5)
    assert chance_median_rank(1000, np.array([2])) == expected == 293
    rng, relevant = np.random.default_rng(0), np.array([1, 3])
    ranks = [np.flatnonzero(rng.permutation(20) < each)[0] + 1 for _ in range(4000) for each in relevant]
    assert abs(chance_median_rank(20, relevant) - np.median(ranks)) <= 1


def test_ties_with_irrelevant_references_count_half() -> None:
    same, label = torch.ones(5, 2), np.arange(5)
    assert nearest_ranks(same, label, same, label, block=2).tolist() == [3.0] * 5


def test_recalls_of_scores_with_ties_are_the_mean_over_guesses() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 4, (30, 20)).astype(float), rng.integers(0, 8, 20)
    relevant = labels == rng.choice(labels, 30)[:, None]
    found = retrieval_of_scores(scores, relevant)
    guesses = {1: [], 5: [], 10: []}
    for _ in range(3000):
        order = np.argsort(-(scores + 0.5 * rng.random(scores.shape)), 1)
        for rank, hits in guesses.items():
            hits.append(np.take_along_axis(relevant, order[:, :rank], 1).any(1).mean())
    for rank, hits in guesses.items():
        assert found[f"r{rank}"] == pytest.approx(np.mean(hits), abs=0.005)


def test_scores_without_ties_have_the_metrics_of_embeddings() -> None:
    query, query_label, reference, reference_label = example(40, 60, 12, seed=2)
    scores = functional.normalize(query, dim=1) @ functional.normalize(reference, dim=1).T
    found = retrieval_of_scores(scores.double().numpy(), (query_label[:, None] == reference_label).numpy())
    expected = retrieval_metrics(query, query_label, reference, reference_label)
    assert found == pytest.approx({name: expected[name] for name in ("r1", "r5", "r10", "median_rank")})


def test_thousands_of_windows_are_compared_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    label = torch.arange(3000).repeat_interleave(2)
    embedding = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 0)
    sizes, topk = [], torch.topk

    def counting(mat: Tensor, *args: int, **kwargs: bool) -> tuple[Tensor, Tensor]:
        sizes.append(len(mat))
        return topk(mat, *args, **kwargs)

    monkeypatch.setattr(torch, "topk", counting)
    found = retrieval_metrics(embedding, label, embedding + 1e-3, label)
    assert max(sizes) == retrieval.BLOCK
    assert found["map_r"] > 0.99
    assert found["r10_chance"] == pytest.approx(20 / 6000, rel=1e-2)


def test_faiss_is_not_needed() -> None:
    retrieval_metrics(*example(10, 20, 5, seed=0))
    assert "faiss" not in sys.modules


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, ql, r, rl: (q, ql, r[:, :3], rl), "expected embeddings (Q, D) and (N, D)"),
        (lambda q, ql, r, rl: (q, ql[1:], r, rl), "with a label each"),
        (lambda q, ql, r, rl: (q * torch.nan, ql, r, rl), "got NaN or Inf among the queries"),
        (lambda q, ql, r, rl: (q, ql + 100, r, rl), "at least one reference of the same label"),
        (lambda q, ql, r, rl: (q[:0], ql[:0], r, rl), "got none"),
    ],
)
def test_inconsistent_inputs_are_errors(change, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        retrieval_metrics(*change(*example(10, 20, 5, seed=0)))
