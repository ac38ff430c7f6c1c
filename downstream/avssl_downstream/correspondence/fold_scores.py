"""Scores of every test pair of a fold over videos: AVC-Bin, AVSA-Bin and retrieval by what the training pairs fit."""

# N pairs, K crops

from __future__ import annotations

import torch
from torch import Tensor

from avssl_downstream.correspondence.options import CorrespondenceOptions
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings
from avssl_downstream.correspondence.pair_probe import PAIRINGS, evaluate_pairs, train_probe
from avssl_downstream.correspondence.pair_retrieval import Projections, train_projections


def fold_scores(training: PairEmbeddings, test: PairEmbeddings, options: CorrespondenceOptions) -> dict[str, Tensor]:
    """Fit probes and projections to the training pairs, and score each test pair.

    Args:
        training: `clip` is the index of the pair's video: mismatched audio is that of other videos.
        test: of at least two other videos, `clip` as there.
        options: of probes and projections.

    Returns:
        Each `(N,)` float64: `avc_bin` and `avsa_bin`, the share of right decisions on the matching and on the
        mismatched pair; `retrieval_r1`, whether the most similar pair in the other modality is of the same video,
        averaged over both directions, and `retrieval_r1_chance`; `retrieval_pair`, the share of pairs of other videos
        that are less similar than the own one, chance one half.
    """
    found: dict[str, Tensor] = {}
    for pairing in PAIRINGS:
        probe = train_probe(training, pairing, options, f"{pairing}_bin")
        decisions = evaluate_pairs(probe, test, pairing, options.seed)
        found[f"{pairing}_bin"] = torch.stack([each.double() for each in decisions]).mean(0)
    projections = train_projections(training, options, "retrieval")
    return found | retrieval_scores(_similarity(projections, test), test.clip)


def retrieval_scores(similarity: Tensor, video: Tensor) -> dict[str, Tensor]:
    """Retrieval scores of each pair from similarities `(N, N)`, audio by frames; see `fold_scores`.

    Ties share the credit. Chance of `retrieval_r1` is the share of the pairs that are of the same video.

    Args:
        similarity: own pairs on the diagonal.
        video: `(N,)` index of the video of each.
    """
    same = video[:, None] == video
    both = [(each, same) for each in (similarity.double(), similarity.double().T)]
    return {
        "retrieval_r1": torch.stack([_first(*each) for each in both]).mean(0),
        "retrieval_r1_chance": same.double().mean(1),
        "retrieval_pair": torch.stack([_pairs(*each) for each in both]).mean(0),
    }


def _first(similarity: Tensor, same: Tensor) -> Tensor:
    """Share of the same video among the most similar of each row."""
    best = similarity == similarity.amax(1, keepdim=True)
    return (best & same).double().sum(1) / best.sum(1)


def _pairs(similarity: Tensor, same: Tensor) -> Tensor:
    """Share of other videos' pairs below the own one of each row; equal ones count half."""
    own = similarity.diagonal()[:, None]
    below = (similarity < own).double() + (similarity == own).double() / 2
    return (below * ~same).sum(1) / (~same).sum(1)


@torch.inference_mode()
def _similarity(projections: Projections, pairs: PairEmbeddings) -> Tensor:
    """Cosines `(N, N)` of audio and frames, averaged over crops."""
    video, audio = (
        projections.project(name, each).flatten(1) for name, each in (("video", pairs.video), ("audio", pairs.aligned))
    )
    return audio @ video.T / pairs.video.shape[1]
