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
    others, own = similarity[1:], similarity[0]
    tied = np.abs(others - own) <= TOLERANCE
    return float(1 + ((others > own) & ~tied).sum() + tied.sum() / 2)


def true_yaw_ranks(
    scorer: YawScorer,
    clips: Manifest,
    data: DataConfig,
    sample_rate: int,
    seed: int,
    fabric: Fabric,
    windows: int,
) -> list[tuple[str, float]]:
    """Rank of the true yaw for each clip, by similarities averaged over its windows.

    Args:
        scorer: its networks in evaluation mode, on the device of `fabric`.
        clips: first-order ambisonics and equirectangular video.
        data: length of a window, and loader processes.
        sample_rate: Hz of the audio.
        seed: of the windows.
        fabric: device and precision.
        windows: of each clip.

    Returns:
        Key of a clip and its rank, 1 to 12, chance 6.5, in the order of the clips.

    Raises:
        InputError: a file is broken, or its audio is not first-order ambisonics.
    """
    data = replace(data, batch=1)  # every clip is drawn equally often
    views = IndexedViews.of(_FoaViews(scorer), clips, data)
    batches = Batches(clips, views, data, sample_rate, seed)
    steps = windows * len(clips)
    total = np.zeros((len(clips), YAWS))
    with closing(batches.between(0, steps)) as stream, torch.inference_mode():
        for batch in track(stream, "rotated sound fields", "windows", steps):
            with fabric.autocast():
                found = scorer.similarity(fabric.to_device(without_index(batch)))
            total[batch[INDEX].numpy()] += found.double().cpu().numpy()
    return [(row.key, rank_of_first(each / windows)) for row, each in zip(clips, total, strict=True)]


class _FoaViews:
    """Views of a scorer, of first-order ambisonics only."""

    def __init__(self, scorer: YawScorer) -> None:
        self.scorer = scorer

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        if len(clip.audio) != 4:
            raise InputError(f"expected ambiX audio of order 1, 4 channels, got {len(clip.audio)} ({clip.key})")
        return self.scorer.views(clip, rng)
