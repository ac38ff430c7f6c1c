"""The test clips of a correspondence evaluation: share of correct decisions, and embeddings of one pair of each."""

# N pairs, K crops, C clips

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.datasets.manifest import Manifest
from avssl.evaluation.scene_truth import SceneTruth
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips, with_embeddings
from avssl.spatial.ambisonics import angles, direction
from avssl_downstream.correspondence.pair_embeddings import PairEmbeddings


def evaluated_pairs(
    clips: Manifest, test: PairEmbeddings, correct: tuple[Tensor, Tensor], truth: SceneTruth | None
) -> EvaluatedClips:
    """Score and embeddings of each clip.

    Args:
        clips: of the test split.
        test: their pairs.
        correct: `(N,)` bool each: decisions on aligned pairs, and on misaligned ones.
        truth: of a synthetic dataset, from which the kinds that sound are taken as the label; None: no label.

    Returns:
        The score `avsa_bin` is the share of correct decisions on the pairs of a clip. The embeddings are of the first
        crop of its first pair; the direction is that of the clip's sound (`Row.azimuth`) relative to this crop.
    """
    shares = torch.stack(correct).double().mean(0)
    order = test.clip.argsort(stable=True)
    present, counts = test.clip[order].unique_consecutive(return_counts=True)  # type: ignore[no-untyped-call]
    first = order[counts.cumsum(0) - counts]
    found = []
    for at, pair in zip(present.tolist(), first.tolist(), strict=True):
        row, view = clips.rows[at], test.views
        azimuth, elevation = _seen_from(row.azimuth, row.elevation, None if view is None else view.to_front[pair, 0])
        label = "" if truth is None or view is None else _sounding(truth, row.key, float(view.time[pair]))
        score = float(shares[test.clip == at].mean())
        found.append(
            EvaluatedClip(
                row.key, score, label, video=row.video, audio=row.audio, start=row.start, seconds=row.seconds,
                azimuth=azimuth, elevation=elevation,
            )
        )  # fmt: skip
    for tower, each in (("video", test.video), ("audio", test.aligned)):
        found = with_embeddings(found, tower, each[first, 0].float())
    return EvaluatedClips(tuple(found), clips.root, "avsa_bin")


def _seen_from(azimuth: float, elevation: float, to_front: Tensor | None) -> tuple[float, float]:
    """Direction in degrees in the axes of a view; nan where either is unknown."""
    if to_front is None or not (math.isfinite(azimuth) and math.isfinite(elevation)):
        return math.nan, math.nan
    seen = to_front.double() @ direction(math.radians(azimuth), math.radians(elevation)).double()
    return tuple(math.degrees(float(each)) for each in angles(seen))  # type: ignore[return-value]


def _sounding(truth: SceneTruth, key: str, time: float) -> str:
    objects = truth.at(key, time)
    return " + ".join(sorted({truth.kinds[kind] for kind in objects.kind[objects.sounding].tolist()}))
