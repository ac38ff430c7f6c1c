"""Ideal observers of AVC-Bin, AVSA-Bin and retrieval, on the pairs that the probes are evaluated on."""

# N pairs, K crops

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from avssl.datasets.manifest import Manifest
from avssl.evaluation.ideal_observer import OBSERVERS, Floats, ViewTruth, pair_scores, view_truth
from avssl.evaluation.retrieval import AUDIO_TO_VIDEO, VIDEO_TO_AUDIO, retrieval_of_scores
from avssl.evaluation.scene_truth import SceneObjects, SceneTruth
from avssl.evaluation.threshold import best_threshold, threshold_accuracy
from avssl.io.progress import track
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings, PairViews
from avssl_downstream.correspondence.pair_probe import other_clips

ROWS = 20
"""Pairs whose scores with all others are computed at a time."""


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
    views, scenes = _views(pairs), _scenes(truth, clips, pairs)
    video = _truth_in_views(views, scenes)
    if pairing == "avsa":
        mismatched = _truth_in_views(views._replace(to_front=views.misaligned), scenes)
    else:
        every = torch.arange(len(pairs.clip))
        mismatched = video[other_clips(pairs.clip, every, torch.Generator().manual_seed(seed)).numpy()]
    right, wrong = pair_scores(video, video), pair_scores(mismatched, video)
    return {name: _accuracy(right[name].sum(1), wrong[name].sum(1)) for name in OBSERVERS}


def observer_retrieval(truth: SceneTruth, clips: Manifest, pairs: PairEmbeddings) -> dict[str, float]:
    """Retrieval by each ideal observer; score of a pair: sum over its crops; among equal ones an observer guesses.

    Args:
        truth: ground truth of the clips.
        clips: clips of the split.
        pairs: those that retrieval chooses from, with their views; those of the same clip are relevant.

    Returns:
        `audio_to_video_r1_ideal_kinds` and so on: the metrics of `avssl.evaluation.retrieval.retrieval_of_scores` in
        both directions, with the endings of `avssl.evaluation.ideal_observer.OBSERVERS`.
    """
    video = _truth_in_views(_views(pairs), _scenes(truth, clips, pairs))
    starts = range(0, len(pairs.clip), ROWS)
    blocks = [
        {name: each.sum(-1) for name, each in pair_scores(video[None], video[start : start + ROWS, None]).items()}
        for start in track(starts, "ideal observers of retrieval", "blocks")
    ]
    same_clip = (pairs.clip[:, None] == pairs.clip).numpy()
    found: dict[str, float] = {}
    for observer in OBSERVERS:
        frames_by_audio = np.concatenate([each[observer] for each in blocks])
        for direction, scores in {VIDEO_TO_AUDIO: frames_by_audio, AUDIO_TO_VIDEO: frames_by_audio.T}.items():
            metrics = retrieval_of_scores(scores, same_clip)
            found |= {f"{direction}_{name}{observer}": value for name, value in metrics.items()}
    return found


def _views(pairs: PairEmbeddings) -> PairViews:
    assert pairs.views is not None, "pairs are embedded with their views"
    return pairs.views


def _scenes(truth: SceneTruth, clips: Manifest, pairs: PairEmbeddings) -> list[SceneObjects]:
    """Ground truth of each pair at its time."""
    places = zip(pairs.clip.tolist(), _views(pairs).time.tolist(), strict=True)
    return [truth.at(clips.rows[clip].key, time) for clip, time in places]


def _truth_in_views(views: PairViews, scenes: Sequence[SceneObjects]) -> ViewTruth:
    """Ground truth in the axes of the crops, with leading axes `(N, K)`."""
    return view_truth(scenes, views.to_front.double().numpy(), views.lens.double().numpy())


def _accuracy(matching: Floats, mismatched: Floats) -> float:
    return threshold_accuracy(matching, mismatched, best_threshold(matching, mismatched))
