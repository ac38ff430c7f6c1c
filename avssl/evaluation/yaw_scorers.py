"""Similarity of audio and frames of trained tasks for each yaw of the sound field."""

# B windows of a batch, Y yaws, K crops, T frames, h and w rows and columns of cells

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from avssl.data.clip import Clip
from avssl.data.clip_options import CropOptions
from avssl.data.crops import draw_crops
from avssl.errors import InputError
from avssl.evaluation.dense_localization import DenseTask, highest_values
from avssl.evaluation.projecting_task import ProjectingTask
from avssl.evaluation.true_yaw import YAWS, YawScorer, yaw_rotations
from avssl.models.encoders import Encoders
from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import rotate
from avssl.spatial.energy_map import energy_map
from avssl.spatial.features import OMNIDIRECTIONAL


class CropYawScorer:
    """Mean cosine of crops and the sound field rotated by a yaw, then to the centre of each crop.

    Args:
        task: with the projections that pretraining compared.
        crops: number, size and places of the crops; never guided by objects.
    """

    def __init__(self, task: ProjectingTask, crops: CropOptions) -> None:
        self.task, self.crops = task, crops
        self.encoders: Encoders = task.encoders  # type: ignore[attr-defined]
        options: Any = getattr(task, "options", None)
        self.rotated = getattr(options, "audio_rotation", "crop") == "crop"

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`frames` uint8 `(K, time, 3, size, size)`, `audio` `(4, samples)`, `rotation` `(K, 3, 3)` to the crops."""
        crops = draw_crops(self.crops, rng)
        rotation = crops.to_front() if self.rotated else crops.to_world()
        return {"frames": crops.frames(clip.frames, self.crops.size), "audio": clip.audio, "rotation": rotation}

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        """See `YawScorer`."""
        turned = batch["rotation"][:, None] @ yaw_rotations().to(batch["rotation"])[:, None]  # (B, Y, K, 3, 3)
        video = self.encoders.video(batch["frames"])
        audio = rearrange(self.encoders.audio(batch["audio"], turned.flatten(1, 2)), "b (y k) d -> b y k d", y=YAWS)
        seen, sound = self.task.project(
            rearrange(video[:, None].expand(-1, YAWS, -1, -1), "b y k d -> (b y) k d"),
            rearrange(audio, "b y k d -> (b y) k d"),
            rearrange(turned, "b y k i j -> (b y) k i j"),
        )
        cosine = functional.cosine_similarity(seen.float(), sound.float(), dim=-1)
        return rearrange(cosine.mean(1), "(b y) -> b y", y=YAWS)


class DenseYawScorer:
    """Similarity of panoramas and rotated sound fields, by a task that compares audio with every cell.

    Args:
        task: in evaluation mode.
        omnidirectional: whether no rotation changes its audio features: the similarity then is the mean of the heat
            map, weighted by the energy map of the rotated sound field.
    """

    def __init__(self, task: DenseTask, omnidirectional: bool) -> None:
        self.task, self.omnidirectional = task, omnidirectional

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Evaluation views of the task."""
        return self.task.evaluation_views(clip, rng)

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        """See `YawScorer`."""
        windows = [{name: each[[place]] for name, each in batch.items()} for place in range(len(batch["audio"]))]
        compare = self._by_energy if self.omnidirectional else self._by_audio
        return torch.stack([compare(each) for each in windows])

    def _by_audio(self, window: dict[str, Tensor]) -> Tensor:
        """`(Y,)` of one window: its panorama compared with the audio after each yaw."""
        turned = yaw_rotations().to(window["rotation"]) @ window["rotation"]
        found, _ = self.task.compare(window | {"audio": window["audio"].expand(YAWS, -1, -1), "rotation": turned})
        return found[:, 0]

    def _by_energy(self, window: dict[str, Tensor]) -> Tensor:
        _, maps = self.task.compare(window)
        heat, (height, width) = highest_values(maps).float(), maps.shape[2:]
        fields = rotate(window["audio"].float(), yaw_rotations().to(maps.device))
        energy = energy_map(fields, height, width).square() * cell_solid_angles(height, width).to(heat)
        total = energy.sum((1, 2)).clamp(min=torch.finfo(energy.dtype).tiny)  # of silence all yaws are ties
        return (energy.flatten(1) * heat).sum(1) / total


def yaw_scorer(task: object, crops: CropOptions) -> YawScorer:
    """Scorer of a task: by whole panoramas where it compares these, else by crops.

    Args:
        task: a pretext task in evaluation mode.
        crops: of tasks that compare crops.

    Raises:
        InputError: the task compares neither.
    """
    if isinstance(task, DenseTask):
        encoders: Encoders = task.encoders  # type: ignore[attr-defined]
        return DenseYawScorer(task, encoders.features.name in OMNIDIRECTIONAL)
    if isinstance(task, ProjectingTask):
        return CropYawScorer(task, crops)
    raise InputError(
        f"expected a task that compares audio with frames, such as avsa or dense_avc, got {type(task).__name__}"
    )
