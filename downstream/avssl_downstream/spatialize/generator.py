"""The contract of a generator: mono sound and pictures in, two ears or ambisonics out; or a field of higher order."""

# B windows, I channels that are given, C channels of the output, S samples and T pictures of a window

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from avssl.errors import InputError
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import NoOptions
from avssl.data.clip import Clip
from avssl.datasets.manifest import Row
from avssl.media.channel_layouts import PAIRS
from avssl_downstream.spatialize.networks.visual_branch import VisualBranch

CHANNELS = {"binaural": 2, "foa": 4, "second-order": 9}
GIVEN = {2: 0, 4: 1, 9: 4}
"""Channels of an output that are given, and so nothing that is made; by the number of its channels."""


class VisualBranchFactory(Protocol):
    """Makes picture branches, each with weights of its own: one for every stream of pictures, such as RGB and flow."""

    def __call__(self, stages: int = 4) -> VisualBranch:
        """A new branch; of torchvision's ResNets so many stages."""


class Generator(nn.Module, ABC):
    """Mono sound and pictures to spatial sound, window by window.

    `views` runs in a loader process; `forward` is what training calls; `see` and `hear` are what applying calls, each
    picture being looked at once however many windows share it. No word about files, devices or precision in it.

    A subclass sets the attributes below from its options.

    Args:
        options: an instance of `Options`.
        branch: makes the picture branches, which the user chooses.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass; the head's `generator_options` fill it."""
    output: str
    """`binaural`: left, right; `foa`: ambiX W, Y, Z, X, of which W is the mono sound itself; `second-order`: nine
    channels, ambiX, of which the first four are the field that is given instead of mono sound."""
    panoramic: ClassVar[bool] = False
    """Whether pictures are equirectangular, all around; else what a camera looking to the front sees."""

    sample_rate: int
    """Hz, of sound in and out."""
    seconds: float
    """Length of a window."""
    margin: float = 0.0
    """Seconds at both ends of a window that are context only: nothing that `hear` gives there is used."""
    hop: float
    """Seconds between windows when a whole file is made; at most half of what a window gives."""
    frames: int
    """Pictures of a window, T, about its middle."""
    frame_rate: float
    """Pictures a second."""
    size: tuple[int, int]
    """Rows and columns of the pictures."""

    def __init__(self, options: Any, branch: VisualBranchFactory) -> None:
        super().__init__()
        self.options = options

    @property
    def samples(self) -> int:
        """Of a window."""
        return round(self.seconds * self.sample_rate)

    @property
    def channels(self) -> int:
        """Of the output."""
        return CHANNELS[self.output]

    @property
    def input_channels(self) -> int:
        """Channels I that it starts from: 1 is mono sound."""
        return max(1, GIVEN[self.channels])

    def input_audio(self, truth: Tensor) -> Tensor:
        """What it starts from, `(..., I, samples)`, of the truth `(..., C, samples)`."""
        return mix_down(truth).unsqueeze(-2) if self.input_channels == 1 else truth[..., : self.input_channels, :]

    def reject_reason(self, row: Row) -> str:
        """Why the clip of this manifest row cannot be used; empty if it can. Called before anything is read."""
        if row.layout and (row.layout in PAIRS) != (self.output == "binaural"):
            wanted = "two ears" if self.output == "binaural" else "ambisonics"
            return f"sound is {row.layout}, this generator makes {wanted}"
        if self.panoramic and not 1.7 < row.width / max(1, row.height) < 2.1:
            return f"pictures of {row.width}x{row.height} are not all around, this generator needs 360 degrees"
        return "left and right are the same" if row.silent_channels == "L-R" else ""

    @abstractmethod
    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The tensors that one clip contributes to a batch; the same `rng` state gives the same tensors.

        Args:
            clip: one window; its sound is the truth, of `channels` channels at `sample_rate`; its frames have the
                data's size (see `resize_frames`).
            rng: of augmentation.
        """

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar, ...}`: the loss to minimise, and further scalars to log."""

    @abstractmethod
    def encode_video(self, frames: Tensor) -> Tensor:
        """What `hear` needs of the pictures: uint8 `(B, T, 3, *size)` to `(B, ...)`. Blank ones are all 0."""

    @abstractmethod
    def generate(self, mono: Tensor, seen: Tensor) -> Tensor:
        """Spatial sound `(B, C, S)` of mono sound `(B, S)` of any level, at that level; see `mix_down`.

        Where a field is given, it comes as `(B, I, S)`.
        """

    @abstractmethod
    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        """The best that this generator could do, given the truth `(B, C, S)`: its masks taken from it."""

    def spatialize(self, mono: Tensor, frames: Tensor) -> Tensor:
        """Spatial sound `(B, C, S)` of mono sound `(B, S)` and its pictures, uint8 `(B, T, 3, *size)`."""
        return self.generate(mono, self.encode_video(frames))


def mix_down(truth: Tensor) -> Tensor:
    """The mono sound that is spatialized: `(..., 2, samples)` to half of left plus right, a field to its W.

    Networks of two ears are fed left plus right, twice of it; so that a mono file comes back at its own level.

    Raises:
        InputError: another number of channels.
    """
    if truth.shape[-2] not in CHANNELS.values():
        raise InputError(f"spatial sound is of 2 (binaural), 4 or 9 (ambiX) channels, this is of {truth.shape[-2]}")
    return truth.mean(-2) if truth.shape[-2] == 2 else truth[..., 0, :]


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures uint8 `(..., 3, height, width)` scaled to rows and columns, uint8."""
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    flat = frames.flatten(0, -4).float()
    small = functional.interpolate(flat, size, mode="bilinear", antialias=True).round().clamp(0, 255)
    return small.to(torch.uint8).reshape(*frames.shape[:-2], *size)
