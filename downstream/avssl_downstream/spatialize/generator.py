"""The contract of a generator: mono audio and video frames to spatial audio, or first order to second."""

# B windows, I input channels, C output channels, S samples and T frames of a window

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import NoOptions
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.media.channel_layouts import PAIRS
from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.networks.audio_branch import AudioBranch
from avssl_downstream.spatialize.networks.branch_factory import BranchFactory
from avssl_downstream.spatialize.networks.visual_branch import NO_FRAMES, VisualBranch

CHANNELS = {"binaural": 2, "foa": 4, "second-order": 9}
KEPT_CHANNELS = {2: 0, 4: 1, 9: 4}
"""Output channels -> how many of them are input channels, kept bit for bit."""


class VisualBranchFactory(Protocol):
    """Makes visual branches, each with its own weights: one for every stream of images, such as RGB and flow."""

    def __call__(self, stages: int = 4) -> VisualBranch:
        """A new branch; `stages` layers of a torchvision ResNet."""


def make_audio_branch(branch: VisualBranchFactory, generator: Generator) -> AudioBranch | None:
    """The audio branch that the user chose for a generator, whose sample rate, window and output are set; or None."""
    if not isinstance(branch, BranchFactory):
        return None
    return branch.audio_branch(generator.input_channels, generator.sample_rate, generator.seconds)


class SeparatedTracks(NamedTuple):
    """Tracks of the mono audio and their gains in the generated channels: N tracks, O generated channels."""

    masks: Tensor
    """Real, `(B, N, F, T)`, of the spectrogram by `Generator.mask_stft`."""
    gains: Tensor
    """`(B, N, O, T)`."""


class Generator(nn.Module, ABC):
    """Spatial audio of mono audio and video frames, window by window.

    `views` runs in a loader process; `forward` is called in training; `encode_video` and `generate` in inference, where
    the features of a group of frames serve all windows that share it. Files, devices and precision are handled outside.

    A subclass sets the attributes below from its options.

    Args:
        options: an instance of `Options`.
        branch: makes visual branches, of the kind that the user chose.
    """

    Options: ClassVar[type] = NoOptions
    """Frozen dataclass, filled by the head's `generator_options`."""
    output: str
    """`binaural`: left, right; `foa`: ambiX W, Y, Z, X, W being the mono input; `second-order`: nine ambiX channels,
    the first four being the first-order input."""
    panoramic: ClassVar[bool] = False
    """Frames are equirectangular (360 degrees); otherwise those of a camera that looks to the front."""

    sample_rate: int
    """Hz, of input and output."""
    seconds: float
    """Seconds of a window."""
    margin: float = 0.0
    """Seconds at both ends of a window that are context only: their output is discarded."""
    hop: float
    """Seconds between windows in inference; at most half of a window without its margins."""
    frames: int
    """T, frames of a window, centred on its middle."""
    frame_rate: float
    """Hz, of frames."""
    size: tuple[int, int]
    """Rows and columns of frames."""
    lr_multipliers: dict[str, float]
    """Names of parameters, or their beginnings, and their learning rate relative to that of all others, unless
    `optim.lr_multipliers` states it."""

    def __init__(self, options: Any, branch: VisualBranchFactory) -> None:
        super().__init__()
        self.options, self.lr_multipliers = options, {}

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks; those of oracles are of the same."""
        return StftConfig()

    @property
    def uses_frames(self) -> bool:
        """Whether the output depends on video frames; not so with `visual_branch=none`."""
        return not any(isinstance(each, VisualBranch) and each.source == NO_FRAMES for each in self.modules())

    @property
    def samples(self) -> int:
        """S, samples of a window."""
        return round(self.seconds * self.sample_rate)

    @property
    def channels(self) -> int:
        """C, output channels."""
        return CHANNELS[self.output]

    @property
    def input_channels(self) -> int:
        """I, input channels: 1 for mono, 4 for first-order ambisonics."""
        return max(1, KEPT_CHANNELS[self.channels])

    def input_audio(self, target: Tensor) -> Tensor:
        """Input audio `(..., I, samples)` of target audio `(..., C, samples)`."""
        return mix_down(target).unsqueeze(-2) if self.input_channels == 1 else target[..., : self.input_channels, :]

    def reject_reason(self, row: Row) -> str:
        """Reason why a clip cannot be used, from its manifest row alone; empty if it can."""
        if reason := self.reject_layout(row.layout):
            return reason
        if self.panoramic and not 1.7 < row.width / max(1, row.height) < 2.1:
            return f"frames of {row.width}x{row.height} are not equirectangular, this generator needs 360 degrees"
        return "left and right channels are identical" if row.silent_channels == "L-R" else ""

    def reject_layout(self, layout: str) -> str:
        """Reason why audio of a channel layout cannot be used; empty if it can, or if the layout is not known."""
        if not layout or (layout in PAIRS) == (self.output == "binaural"):
            return ""
        expected = "binaural audio" if self.output == "binaural" else "ambisonics"
        return f"audio is {layout}, this generator needs {expected}"

    @abstractmethod
    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """The tensors of one clip for a batch; the same `rng` state gives the same tensors.

        Args:
            clip: one window; its audio is the target, `channels` channels at `sample_rate`; its frames have the size of
                the data (see `resize_frames`).
            rng: of augmentation.
        """

    def views_of(self, manifest: Manifest) -> Callable[[Clip, np.random.Generator], dict[str, Tensor]]:
        """`views` for the clips of a manifest, with what a generator needs beside their audio and frames."""
        return self.views

    def check_training(self, manifests: Sequence[Manifest]) -> None:
        """Check that the training clips have what the options need.

        Raises:
            InputError: they have not.
        """

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar, ...}`: the loss to minimise, and further scalars to log."""

    @abstractmethod
    def encode_video(self, frames: Tensor) -> Tensor:
        """Visual features `(B, ...)` for `generate`, of frames uint8 `(B, T, 3, *size)`; absent frames are all 0."""

    @abstractmethod
    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """Spatial audio of windows.

        Args:
            mono: `(B, S)`, at any level, see `mix_down`; `(B, I, S)` for first-order input.
            features: from `encode_video`.

        Returns:
            `(B, C, S)` at the level of the input.
        """

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor | None:
        """As `generate`, with the masks of other audio, of the shape of `mono`; None: this generator has no masks."""
        return None

    def separated_tracks(self, mono: Tensor, features: Tensor) -> SeparatedTracks | None:
        """Tracks and their gains, whose sum `generate` returns; None: masks are of channels, not of sources.

        Args:
            mono: see `generate`.
            features: see `generate`.
        """
        return None

    @abstractmethod
    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Upper bound of this generator, `(B, C, S)`: its masks are computed from the target `(B, C, S)`."""

    def spatialize(self, mono: Tensor, frames: Tensor) -> Tensor:
        """Spatial audio `(B, C, S)` of mono audio `(B, S)` and frames, uint8 `(B, T, 3, *size)`."""
        return self.generate(mono, self.encode_video(frames))


def mix_down(target: Tensor) -> Tensor:
    """Mono audio `(..., samples)` of spatial audio: half of left plus right, or W.

    Networks for binaural audio take left plus right, twice of it, so that the output has the level of the mono input.

    Raises:
        InputError: another number of channels.
    """
    if target.shape[-2] not in CHANNELS.values():
        raise InputError(f"expected 2 (binaural), 4 or 9 (ambiX) channels, got audio of shape {tuple(target.shape)}")
    return target.mean(-2) if target.shape[-2] == 2 else target[..., 0, :]


def unspatialized(audio: Tensor, channels: int) -> Tensor:
    """Output `(..., C, samples)` of a generator that adds nothing to its input audio `(..., I, samples)`.

    Mono audio in both ears; of ambisonics the input channels, and silence in the others.
    """
    shape = audio.shape[:-2]
    if channels == CHANNELS["binaural"]:
        return audio.expand(*shape, channels, -1)
    return torch.cat([audio, audio.new_zeros(*shape, channels - audio.shape[-2], audio.shape[-1])], -2)


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames uint8 `(..., 3, height, width)` on the CPU resized to rows and columns, uint8."""
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    small = functional.interpolate(frames.flatten(0, -4), size, mode="bilinear", antialias=True)
    return small.reshape(*frames.shape[:-2], *size)
