"""Rank of the true yaw of a sound field among rotations of it, by the similarity of audio and frames; no training."""

# B clips of a batch, Y yaws, C cells

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.errors import InputError
from avssl.evaluation.scene_views import INDEX, IndexedViews, without_index
from avssl.io.progress import track
from avssl.spatial.ambisonics import rotation

YAWS = 12
"""Rotations of the sound field, every 30 degrees; the first is none."""
CHANCE_RANK = (YAWS + 1) / 2
ALIGNED = 3
"""Rank up to which a sound field counts as aligned: the true yaw and the two next to it."""
MOST_AMONG_YAWS = 1 - ALIGNED / YAWS / 2
"""AVSA-Bin by rank of similarities that always prefer the true yaw: a random one is among the three, too."""
TOLERANCE = 1e-6
"""Difference of similarities that rounding makes: audio features that no rotation changes are ties."""
Floats = NDArray[np.float64]


class YawScorer(Protocol):
    """Similarity of the frames of a window and its sound field, for each yaw."""

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Tensors of a window; runs in a loader process."""
        ...

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        """`(B, Y)`: similarity after each of `yaw_rotations`, the sound field as recorded first."""
        ...


def yaw_rotations() -> Tensor:
    """Rotations `(Y, 3, 3)` of the sound field by yaws of 0, 30, ... 330 degrees."""
    return rotation(torch.arange(YAWS) * (2 * math.pi / YAWS))


def rank_of_first(similarity: Floats) -> float:
    """Rank of the first of several similarities, 1 the highest; ties share the mean of their ranks.

    Example:
        >>> rank_of_first(np.array([0.5, 0.9, 0.1])), rank_of_first(np.zeros(12))
        (2.0, 6.5)
    """
    higher, tied = _beside_first(similarity)
    return 1 + higher + tied / 2


def alignment_among_yaws(similarity: Floats) -> float:
    """AVSA-Bin without a probe: expected accuracy on a sound field as recorded and on it after a uniformly random yaw.

    A sound field counts as aligned if it is among the three of highest similarity of its own twelve rotations; ties are
    broken at random. That of a uniformly random yaw is one of its twelve at random: it counts as misaligned with a
    probability of 9 / 12, whatever the similarities.

    Args:
        similarity: `(Y,)`, the sound field as recorded first.

    Example:
        >>> alignment_among_yaws(np.array([1.0] + [0.0] * 11)), alignment_among_yaws(np.zeros(12))
        (0.875, 0.5)
    """
    higher, tied = _beside_first(similarity)
    accepted = min(max((ALIGNED - higher) / (tied + 1), 0.0), 1.0)
    return (accepted + 1 - ALIGNED / YAWS) / 2


def _beside_first(similarity: Floats) -> tuple[int, int]:
    """Numbers of others that are higher than the first, and that equal it."""
    others, own = similarity[1:], similarity[0]
    tied = np.abs(others - own) <= TOLERANCE
    return int(((others > own) & ~tied).sum()), int(tied.sum())


def true_yaw_similarities(
    scorer: YawScorer,
    clips: Manifest,
    data: DataConfig,
    sample_rate: int,
    seed: int,
    fabric: Fabric,
    windows: int,
) -> list[tuple[str, Floats]]:
    """Similarities of each clip's windows after each yaw.

    Args:
        scorer: its networks in evaluation mode, on the device of `fabric`.
        clips: first-order ambisonics and equirectangular video.
        data: length of a window, and loader processes.
        sample_rate: Hz of the audio.
        seed: of the windows.
        fabric: device and precision.
        windows: of each clip.

    Returns:
        Key of a clip and `(windows, Y)`, in the order of the clips.

    Raises:
        InputError: a file is broken, or its audio is not first-order ambisonics.
    """
    data = replace(data, batch=1)  # every clip is drawn equally often
    views = IndexedViews.of(_FoaViews(scorer), clips, data)
    batches = Batches(clips, views, data, sample_rate, seed)
    steps = windows * len(clips)
    found: list[list[Floats]] = [[] for _ in clips]
    with closing(batches.between(0, steps)) as stream, torch.inference_mode():
        for batch in track(stream, "rotated sound fields", "windows", steps):
            with fabric.autocast():
                similarity = scorer.similarity(fabric.to_device(without_index(batch)))
            found[int(batch[INDEX])].append(similarity[0].double().cpu().numpy())
    return [(row.key, np.stack(each)) for row, each in zip(clips, found, strict=True)]


def true_yaw_ranks(found: list[tuple[str, Floats]]) -> list[tuple[str, float]]:
    """Key of a clip and the rank of its true yaw, 1 to 12, chance 6.5, by similarities averaged over its windows."""
    return [(key, rank_of_first(similarity.mean(0))) for key, similarity in found]


def alignments(found: list[tuple[str, Floats]]) -> list[tuple[str, float]]:
    """Key of a clip and `alignment_among_yaws`, for each of its windows."""
    return [(key, alignment_among_yaws(each)) for key, similarity in found for each in similarity]


class _FoaViews:
    """Views of a scorer, of first-order ambisonics only."""

    def __init__(self, scorer: YawScorer) -> None:
        self.scorer = scorer

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        if len(clip.audio) != 4:
            raise InputError(f"expected ambiX audio of order 1, 4 channels, got {len(clip.audio)} ({clip.key})")
        return self.scorer.views(clip, rng)
