"""Direction prior of a 360-degree generator: the heat map of a trained dense task, frozen."""

# B windows, T frames, S time steps of the audio, D embedding, h and w rows and columns of cells

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.embedding.trained_task import build_task, describe_task, load_dense_task
from avssl.errors import InputError
from avssl.evaluation.dense_localization import MonoDenseTask
from avssl.models.geometry import InputGeometry
from avssl.task import Task
from avssl_downstream.spatialize.networks.audio_branch import resampled


class DirectionPrior(nn.Module):
    """Where the audio of a window fits the frame, by the cells and time steps of a dense task of mono audio.

    Not trained: it stays in evaluation mode, and its parameters have no gradient.

    Args:
        task: with its weights.
        description: of the task, see `avssl.embedding.trained_task.describe_task`; stored with a fitted generator.
        sample_rate: Hz, of the audio.

    Raises:
        InputError: no task that embeds mono audio and cells apart, one whose features take ambisonics alone, or
            encoders saved without the length of their windows.
    """

    def __init__(self, task: Task, description: Mapping[str, Any], sample_rate: int) -> None:
        super().__init__()
        features = task.encoders.features
        if not isinstance(task, MonoDenseTask) or 1 not in features.accepted:
            raise InputError(
                f"expected a dense task of mono audio, such as that of `avssl pretrain --recipe dense_avc/small`, got "
                f"one on {features.name}"
            )
        if task.encoders.geometry is None:
            raise InputError("expected encoders with the length of their windows, got none; train them again")
        self.task, self.sample_rate, self.description = task, sample_rate, dict(description)
        self.width = task.embedding
        self.geometry: InputGeometry = task.encoders.geometry
        self.requires_grad_(False)
        self.train()

    @property
    def matcher(self) -> MonoDenseTask:
        """The task by its other type."""
        assert isinstance(self.task, MonoDenseTask)
        return self.task

    def cells(self, frames: Tensor) -> Tensor:
        """Unit vectors of the cells `(B, T, h, w, D)` of equirectangular frames uint8 `(B, T, 3, height, width)`."""
        size = self.matcher.frame_size
        if tuple(frames.shape[-2:]) != size:
            flat = functional.interpolate(frames.flatten(0, 1).float(), size, mode="bilinear", antialias=True)
            frames = flat.round().clamp(0, 255).to(torch.uint8).reshape(*frames.shape[:3], *size)
        with torch.no_grad():
            return functional.normalize(self.matcher.embed_cells(frames).float(), dim=-1)

    def planes(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Means of these vectors in the cells of another grid, `(B, D, h, w)`, of images uint8 `(B, 3, height, width)`.

        The cosine with a mean is the mean of the cosines.
        """
        found = self.cells(images[:, None])[:, 0].movedim(-1, 1)
        return functional.adaptive_avg_pool2d(found, size)

    def times(self, audio: Tensor) -> Tensor:
        """Unit vectors of the time steps `(B, S, D)` of mono audio `(B, samples)`."""
        with torch.no_grad():
            own = resampled(audio, self.sample_rate, self.task.encoders.sample_rate)
            return functional.normalize(self.matcher.embed_times(own[:, None]).float(), dim=-1)

    def forward(self, audio: Tensor, planes: Tensor) -> Tensor:
        """Logits of the cells at every time step, `(B, S, h, w)`: cosine times the sharpness of the task.

        Args:
            audio: `(B, samples)`.
            planes: see `planes`.
        """
        with torch.autocast(audio.device.type, enabled=False):
            return self.matcher.sharpness * torch.einsum("BSD,BDhw->BShw", self.times(audio), planes.float())

    def train(self, mode: bool = True) -> DirectionPrior:
        """Stay in evaluation mode."""
        return super().train(False)


def load_direction_prior(run: Path, sample_rate: int, option: str) -> DirectionPrior:
    """Direction prior of the run folder of a dense task; the state of random generators stays as it is.

    Args:
        run: of `avssl pretrain --task dense_avc`.
        sample_rate: Hz, of the audio.
        option: that named it, for messages.

    Raises:
        InputError: no such run, one of another task, or see `DirectionPrior`.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            task, _ = load_dense_task(run)
            return DirectionPrior(task, describe_task(run, task), sample_rate)
        except InputError as error:
            raise InputError(
                f"{option}={error}" if str(error).startswith(str(run)) else f"{option}={run}: {error}"
            ) from error


def stored_direction_prior(description: Mapping[str, Any], sample_rate: int, where: str) -> DirectionPrior:
    """Direction prior with random weights, of the description in the folder of a fitted generator.

    Raises:
        InputError: a broken description.
    """
    with torch.random.fork_rng(devices=[]):
        return DirectionPrior(build_task(description, where), description, sample_rate)


def find_direction_prior(network: nn.Module) -> DirectionPrior | None:
    """Direction prior that a generator has, or None."""
    return next((each for each in network.modules() if isinstance(each, DirectionPrior)), None)
