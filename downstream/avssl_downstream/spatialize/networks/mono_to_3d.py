"""The network of MonoTo3D: eight frames over time, and a U-Net of seven halvings that they join twice."""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl_downstream.spatialize.networks.unet25d import down

# B sounds, C channels of the picture's maps, T' their instants, F rows and T columns of a spectrum

MOST = 8
"""Times `width`: the most channels of the U-Net."""
JOIN = 5
"""The pictures join a second time after this many doublings."""


class MonoTo3DNet(nn.Module):
    """Complex masks of X, Y and Z from the spectrum of a mono mix and the maps of some frames.

    The paper names the frames' channels (2048 -> 1024 -> 512 -> 1024) and the sizes of the spectra; kernels (3 and 4)
    and the U-Net's channels are ours.

    Args:
        width: channels after the first halving.
        visual_channels: channels of the maps of one frame; 256 after three stages of ResNet-18.
        instants: `T'` of the maps; 8 frames in the paper.
        visual_width: channels of what the frames become.
        depth: halvings; 7 in the paper, for 257 x 401.

    Raises:
        ValueError: fewer than two halvings.
    """

    def __init__(
        self,
        width: int = 64,
        visual_channels: int = 256,
        instants: int = 8,
        visual_width: int = 1024,
        depth: int = 7,
    ) -> None:
        super().__init__()
        if depth < 2:
            raise InputError(f"the U-Net of MonoTo3D has at least 2 halvings, not {depth}")
        planes = [2, *(width * min(2**level, MOST) for level in range(depth))]
        self.frames = _frames(visual_channels * instants, visual_width)
        self.downs = nn.ModuleList(down(before, after, "batch") for before, after in pairwise(planes))
        self.join = min(JOIN, depth - 1)
        self.ups = nn.ModuleList(
            _Up(self._incoming(planes, step, visual_width), planes[depth - step - 1]) for step in range(depth - 1)
        )
        self.last = nn.ConvTranspose2d(self._incoming(planes, depth - 1, visual_width), 6, 4, 2, 1)

    def _incoming(self, planes: list[int], step: int, visual_width: int) -> int:
        """Channels that a doubling takes in."""
        own = planes[-1] if step == 0 else 2 * planes[-1 - step]
        return own + visual_width * (step in (0, self.join))

    def forward(self, mix: Tensor, maps: Tensor) -> Tensor:
        """Masks whose complex product with the mix is X, Y and Z.

        Args:
            mix: real and imaginary part of the mono sound's spectrum, `(B, 2, F, T)`; (2, 257, 401) in the paper.
            maps: of the frames, `(B, C, T', h, w)`.

        Returns:
            `(B, 3, 2, F, T)`, unbounded: X, Y, Z in the paper's order, real and imaginary part.

        Raises:
            ValueError: a spectrum too small for so many halvings, or another number of frames.
        """
        levels = self._halved(mix)
        seen = self.frames(maps.flatten(1, 2))
        sizes = [each.shape[-2:] for each in (mix, *levels)]
        x = torch.cat([functional.adaptive_max_pool2d(seen, sizes[-1]), levels[-1]], 1)
        for step, up in enumerate(self.ups, 1):
            x = torch.cat([up(x, sizes[-1 - step]), levels[-1 - step]], 1)
            if step == self.join:
                x = torch.cat([functional.adaptive_avg_pool2d(seen, (x.shape[-2], x.shape[-1])), x], 1)
        masks: Tensor = self.last(x, output_size=list(sizes[0]))
        return rearrange(masks, "B (channels parts) F T -> B channels parts F T", parts=2)

    def _halved(self, mix: Tensor) -> list[Tensor]:
        if min(mix.shape[-2:]) < 2 ** len(self.downs):
            raise ValueError(f"{len(self.downs)} halvings need as many rows and columns, not {tuple(mix.shape[-2:])}")
        levels = [mix]
        for halve in self.downs:
            levels.append(halve(levels[-1]))
        return levels[1:]


class _Up(nn.Module):
    """Double a map to a size that may be odd."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(channels_in, channels, 4, 2, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """`(B, channels_in, F, T)` to `(B, channels, *size)`."""
        return functional.relu(self.norm(self.convolution(x, output_size=list(size))))


def _frames(channels: int, width: int) -> nn.Sequential:
    """Three convolutions with batch norm over the maps of all frames at once."""
    layers: list[nn.Module] = []
    for after in (width, width // 2, width):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        channels = after
    return nn.Sequential(*layers)
