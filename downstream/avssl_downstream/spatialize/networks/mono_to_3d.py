"""Network of MonoTo3D: a U-Net of seven halvings, conditioned twice on the features of eight frames."""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl_downstream.spatialize.networks.audio_branch import resample_steps
from avssl_downstream.spatialize.networks.unet25d import down

# B windows, C channels and T' frame times of visual feature maps, F bins and T frames of a spectrogram

MAX_WIDTH = 8
"""Maximum channels of the U-Net, times `width`."""
JOIN = 5
"""Doublings after which visual features are concatenated a second time."""


class MonoTo3DNet(nn.Module):
    """Complex masks of X, Y and Z from the spectrogram of a mono mix and visual features.

    The paper states the channels of the visual layers (2048 -> 1024 -> 512 -> 1024) and the sizes of the spectrograms;
    kernel sizes (3 and 4) and the channels of the U-Net are our choice.

    Args:
        width: channels after the first halving.
        visual_channels: C; 256 after three stages of ResNet-18.
        frame_times: T'; 8 in the paper.
        visual_width: output channels of the visual layers.
        depth: halvings; 7 in the paper, for 257 x 401.
        audio: channels of the features of an audio tower, concatenated at the smallest map; the paper has none.

    Raises:
        ValueError: fewer than two halvings.
    """

    def __init__(
        self,
        width: int = 64,
        visual_channels: int = 256,
        frame_times: int = 8,
        visual_width: int = 1024,
        depth: int = 7,
        audio: int = 0,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise InputError(f"expected at least 2 halvings of the U-Net, got {depth}")
        self.audio = audio
        planes = [2, *(width * min(2**level, MAX_WIDTH) for level in range(depth))]
        self.frames = _frames(visual_channels * frame_times, visual_width)
        self.downs = nn.ModuleList(down(before, after, "batch") for before, after in pairwise(planes))
        self.join = min(JOIN, depth - 1)
        self.ups = nn.ModuleList(
            _Up(self._incoming(planes, step, visual_width), planes[depth - step - 1]) for step in range(depth - 1)
        )
        self.last = nn.ConvTranspose2d(self._incoming(planes, depth - 1, visual_width), 6, 4, 2, 1)

    def _incoming(self, planes: list[int], step: int, visual_width: int) -> int:
        """Input channels of a doubling."""
        own = planes[-1] if step == 0 else 2 * planes[-1 - step]
        return own + visual_width * (step in (0, self.join)) + self.audio * (step == 0)

    def forward(self, mix: Tensor, maps: Tensor, audio: Tensor | None = None) -> Tensor:
        """Complex masks from the mix to X, Y and Z.

        Args:
            mix: real and imaginary part of the mono spectrogram, `(B, 2, F, T)`; (2, 257, 401) in the paper.
            maps: visual feature maps, `(B, C, T', h, w)`.
            audio: features of an audio tower, see `AudioBranch.forward`.

        Returns:
            `(B, 3, 2, F, T)`, unbounded: X, Y, Z in the paper's order, real and imaginary part.

        Raises:
            ValueError: a spectrogram too small for the halvings.
        """
        levels = self._halved(mix)
        visual = self.frames(maps.flatten(1, 2))
        sizes = [each.shape[-2:] for each in (mix, *levels)]
        x = torch.cat([functional.adaptive_max_pool2d(visual, sizes[-1]), levels[-1]], 1)
        if audio is not None:
            x = torch.cat([x, resample_steps(audio, x.shape[-1])[:, :, None].expand(-1, -1, x.shape[-2], -1)], 1)
        for step, up in enumerate(self.ups, 1):
            x = torch.cat([up(x, sizes[-1 - step]), levels[-1 - step]], 1)
            if step == self.join:
                x = torch.cat([functional.adaptive_avg_pool2d(visual, (x.shape[-2], x.shape[-1])), x], 1)
        masks: Tensor = self.last(x, output_size=list(sizes[0]))
        return rearrange(masks, "B (channels parts) F T -> B channels parts F T", parts=2)

    def _halved(self, mix: Tensor) -> list[Tensor]:
        if min(mix.shape[-2:]) < 2 ** len(self.downs):
            least = 2 ** len(self.downs)
            raise ValueError(f"expected at least {least} bins and frames, got {tuple(mix.shape[-2:])}")
        levels = [mix]
        for halve in self.downs:
            levels.append(halve(levels[-1]))
        return levels[1:]


class _Up(nn.Module):
    """Transposed convolution that doubles a map, to a size that may be odd."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(channels_in, channels, 4, 2, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """`(B, channels_in, F, T)` to `(B, channels, *size)`."""
        return functional.relu(self.norm(self.convolution(x, output_size=list(size))))


def _frames(channels: int, width: int) -> nn.Sequential:
    """Three convolutions with batch norm over the feature maps of all frames, concatenated."""
    layers: list[nn.Module] = []
    for after in (width, width // 2, width):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        channels = after
    return nn.Sequential(*layers)
