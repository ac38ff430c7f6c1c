"""Base class of pretext tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, TypeGuard

import numpy as np
from torch import Tensor, nn

from avssl.config import DataConfig, NoOptions
from avssl.data.clip import Clip
from avssl.data.clip_options import CropOptions
from avssl.datasets.manifest import Row
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry


class Task(nn.Module, ABC):
    """Pretext task: views of a clip, and the loss of a batch of views.

    `views` runs in a loader process and uses only the clip and `rng`; `forward` runs on the device. Tasks do not handle
    devices, processes, precision or files. Optional methods: `embeddings(batch) -> {name: (rows, width)}` is monitored
    for collapse; `reject_audio_reason((channels, samples)) -> str` filters clips by audio before training, see
    `avssl.data.clip_filter`; `reference_scores(batch, scenes) -> {name: number}` states chance and ideal observers of
    the scalars of `forward`, see `avssl.evaluation.reference_scores`; `project(video, audio, rotation)` projects tower
    outputs `(..., width)`, of crops and of the audio by these rotations, to a common space whose cosines are read out
    without a trained probe; `embed(batch) -> {name: (clips, ...)}` and `contrast(embeddings, batch)`, whose result is
    that of `forward(batch)` for `embeddings = embed(batch)`, allow the gradient caching of `train.chunk`: embeddings of
    a clip depend on that clip alone, and the loss on the embeddings of all clips.

    Args:
        encoders: audio and video encoder to train.
        options: an instance of `Options`.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass, filled from `options:` of a recipe."""

    def __init__(self, encoders: Encoders, options: Any) -> None:
        super().__init__()
        self.encoders = encoders
        self.options = options

    def reject_reason(self, row: Row) -> str:
        """Reason to reject the clip of a manifest row; empty to accept it. Called before media are read."""
        return ""

    def geometry(self, data: DataConfig) -> InputGeometry:
        """Windows and crops that the encoders are trained on, from the data config and `CropOptions`.

        Override it if `views` changes the window length, or crops by other options.

        Args:
            data: data config of the run.
        """
        crops = self.options if isinstance(self.options, CropOptions) else None
        size, min_fov, max_fov = (crops.size, crops.min_fov, crops.max_fov) if crops else (None, None, None)
        return InputGeometry(data.seconds, data.frames, data.frame_rate, size, min_fov, max_fov)

    @abstractmethod
    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Tensors that a clip contributes to a batch, deterministic given the state of `rng`."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar, ...}`: loss to minimise, and further scalars to log."""


class ChunkedTask(Protocol):
    """A task whose `forward(batch)` is `contrast(embed(batch), batch)`, for gradient caching."""

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings `(clips, ...)`, each of which depends on its clip alone, batch normalisation aside."""
        ...

    def contrast(self, embeddings: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar, ...}` of the embeddings of all clips."""
        ...


def embeds_in_chunks(task: Any) -> TypeGuard[ChunkedTask]:
    """Whether a task is a `ChunkedTask`; a layer of that name is something else."""
    return all(callable(getattr(type(task), name, None)) for name in ("embed", "contrast"))
