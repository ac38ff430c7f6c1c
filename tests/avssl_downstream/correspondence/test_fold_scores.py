"""Scores of pairs by video: retrieval with known similarities, and probes on embeddings with a known answer."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.correspondence.fold_scores import fold_scores, retrieval_scores
from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings

VIDEO = torch.tensor([0, 0, 1, 2])


def test_pairs_of_one_video_are_relevant_alike_and_no_rivals() -> None:
    similarity = torch.tensor([[0.1, 0.9, 0.0, 0.0], [0.2, 0.3, 0.0, 0.0], [0.0, 0.0, 0.5, 0.7], [0.0, 0.0, 0.1, 0.2]])
    found = retrieval_scores(similarity, VIDEO)
    assert found["retrieval_r1_chance"].tolist() == [0.5, 0.5, 0.25, 0.25]
    assert found["retrieval_r1"].tolist() == [1.0, 1.0, 0.5, 0.5]  # audio 2 finds frames 3, frames 3 find audio 2
    assert found["retrieval_pair"].tolist() == pytest.approx([1.0, 1.0, 5 / 6, 5 / 6])


def test_equal_similarities_score_chance() -> None:
    found = retrieval_scores(torch.ones(4, 4), VIDEO)
    assert found["retrieval_r1"].tolist() == found["retrieval_r1_chance"].tolist()
    assert found["retrieval_pair"].tolist() == [0.5] * 4


def pairs(videos: int, first: int, draws: int = 12, aligned: bool = True) -> PairEmbeddings:
    """Audio that repeats the frames' embedding, its last number 1, or -1 where misaligned; without, noise."""
    generator = torch.Generator().manual_seed(first)
    clip = torch.arange(first, first + videos).repeat_interleave(draws)
    content = torch.randn(videos, 4, generator=generator).sign()[clip - first]
    noise = torch.randn(len(clip), 5, generator=generator)
    audio = torch.cat([content, torch.ones(len(clip), 1)], 1) if aligned else noise
    rotated = audio * torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0]) if aligned else noise.flip(0)
    return PairEmbeddings(content[:, None], audio[:, None], rotated[:, None], torch.ones(len(clip)), clip)


OPTIONS = CorrespondenceOptions(crops=1, hidden=32, epochs=15, projection=8)


def test_probes_find_alignment_and_content_that_embeddings_hold() -> None:
    found = fold_scores(pairs(24, 0), pairs(6, 100), OPTIONS)
    assert {name: each.shape for name, each in found.items()} == dict.fromkeys(found, (72,))
    assert found["avsa_bin"].mean() > 0.95
    assert found["retrieval_pair"].mean() > 0.8
    assert set(found["avc_bin"].tolist()) <= {0.0, 0.5, 1.0}


def test_embeddings_without_relation_score_chance() -> None:
    found = fold_scores(pairs(24, 0, aligned=False), pairs(12, 100, aligned=False), OPTIONS)
    for name in ("avsa_bin", "avc_bin", "retrieval_pair"):
        assert found[name].mean() == pytest.approx(0.5, abs=0.1), name
