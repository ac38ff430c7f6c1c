"""Views of held-out clips with the index of their clip in the manifest and their time: keys of its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest
from avssl.evaluation.scene_truth import SceneObjects, SceneTruth

INDEX, TIME = "scene_index", "scene_time"
"""Views by which the truth of a clip is found."""


@dataclass(frozen=True)
class IndexedViews:
    """Views of a clip, with its index in the manifest and the time in the middle of its frames; draws nothing itself.

    Args:
        views: maps a clip and a random generator to named tensors.
        indices: key of a clip -> its index.
        half_duration: seconds from the first frame of a window to the middle of its frames.
    """

    views: Callable[[Clip, np.random.Generator], dict[str, Tensor]]
    indices: dict[str, int]
    half_duration: float

    @classmethod
    def of(
        cls, views: Callable[[Clip, np.random.Generator], dict[str, Tensor]], clips: Manifest, data: DataConfig
    ) -> IndexedViews:
        """Views of the clips of a manifest, read as `data` says."""
        indices = {row.key: index for index, row in enumerate(clips)}
        return cls(views, indices, (data.frames - 1) / data.frame_rate / 2)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The views, `scene_index` and `scene_time`, seconds from the beginning of the clip."""
        time = clip.labels["frame_start"] + self.half_duration
        found = {INDEX: torch.tensor(self.indices[clip.key]), TIME: torch.tensor(time, dtype=torch.float64)}
        return self.views(clip, rng) | found


def scenes_of(truth: SceneTruth, clips: Manifest, batch: dict[str, Tensor]) -> list[SceneObjects]:
    """Objects of each clip of a batch of `IndexedViews`, at its time."""
    pairs = zip(batch[INDEX].tolist(), batch[TIME].tolist(), strict=True)
    return [truth.at(clips.rows[index].key, time) for index, time in pairs]


def without_index(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The views themselves."""
    return {name: each for name, each in batch.items() if name not in (INDEX, TIME)}
