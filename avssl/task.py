"""The contract of a pretext task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from avssl.config import DataConfig, NoOptions
from avssl.data.clip import Clip
from avssl.data.clip_options import CropOptions
from avssl.datasets.manifest import Row
from avssl.models.encoders import Encoders
from avssl.models.geometry import InputGeometry


class Task(nn.Module, ABC):
    """A pretext task: how a clip becomes views, and how a batch of views becomes a loss.

    `views` runs in a loader process and uses only the clip and `rng`; `forward` runs on the device. A task says no word
    about devices, processes, precision or files. A task with a method `embeddings(batch) -> {name: (rows, width)}` has
    them watched for collapse; one with a method `reject_audio_reason((channels, samples)) -> str` checks the audio of
    clips before training, see `avssl.data.clip_filter`.

    Args:
        encoders: the shared towers that the task trains.
        options: an instance of `Options`.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass; a recipe's `options:` fills it."""

    def __init__(self, encoders: Encoders, options: Any) -> None:
        super().__init__()
        self.encoders = encoders
        self.options = options

    def reject_reason(self, row: Row) -> str:
        """Why the task cannot use the clip of this manifest row; empty if it can. Called before anything is read."""
        return ""

    def geometry(self, data: DataConfig) -> InputGeometry:
        """Windows and crops that the encoders are trained on: those of the data, and of `CropOptions` if it has them.

        Override it where `views` changes the length of windows, or crops by other options.

        Args:
            data: of the run.
        """
        crops = self.options if isinstance(self.options, CropOptions) else None
        size, least, most = (crops.size, crops.min_fov, crops.max_fov) if crops else (None, None, None)
        return InputGeometry(data.seconds, data.frames, data.frame_rate, size, least, most)

    @abstractmethod
    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The tensors that one clip contributes to a batch; the same `rng` state gives the same tensors."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar, ...}`: the loss to minimise, and further scalars to log."""
