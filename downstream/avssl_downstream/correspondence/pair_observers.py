"""Ideal observers of AVC-Bin and AVSA-Bin, on the pairs that the probes are evaluated on."""

# N pairs, K crops

from __future__ import annotations

import torch

from avssl.datasets.manifest import Manifest
from avssl.evaluation.ideal_observer import OBSERVERS, Floats, pair_scores, view_truth
from avssl.evaluation.scene_truth import SceneTruth
from avssl.evaluation.threshold import best_threshold, threshold_accuracy
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings
from avssl_downstream.correspondence.pair_probe import other_clips


def observer_accuracies(
    truth: SceneTruth, clips: Manifest, pairs: PairEmbeddings, pairing: str, seed: int
) -> dict[str, float]:
    """Accuracy of each ideal observer, at its best threshold on these very pairs.

    Args:
        truth: ground truth of the clips.
        clips: clips of the split.
        pairs: of the split, with their views.
        pairing: `avc` or `avsa`.
        seed: of the mismatched audio.

    Returns:
        Ending of a metric, of `avssl.evaluation.ideal_observer.OBSERVERS` -> accuracy.
    """
    assert pairs.views is not None, "pairs are embedded with their views"
    places = zip(pairs.clip.tolist(), pairs.views.time.tolist(), strict=True)
    scenes = [truth.at(clips.rows[clip].key, time) for clip, time in places]
    to_front, misaligned, lens = (each.double().numpy() for each in pairs.views[:3])
    video = view_truth(scenes, to_front, lens)
    if pairing == "avsa":
        mismatched = view_truth(scenes, misaligned, lens)
    else:
        every = torch.arange(len(pairs.clip))
        mismatched = video[other_clips(pairs.clip, every, torch.Generator().manual_seed(seed)).numpy()]
    right, wrong = pair_scores(video, video), pair_scores(mismatched, video)
    return {name: _accuracy(right[name].sum(1), wrong[name].sum(1)) for name in OBSERVERS}


def _accuracy(matching: Floats, mismatched: Floats) -> float:
    return threshold_accuracy(matching, mismatched, best_threshold(matching, mismatched))
