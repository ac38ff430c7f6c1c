"""The network of Morgado et al. (NeurIPS 2018): tracks are separated from a mix and each is given a direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.conv_unet import FULL, ConvBlock, Decoder, Encoder, init_xavier

# B sounds, I channels that come, O channels that leave, N tracks, S steps in time, U units
# F rows and T columns of spectra

Grid = tuple[int, int]


class LocalizedTracks(NamedTuple):
    """Which tracks there are, and how much of each belongs into every channel."""

    weights: Tensor
    """`(B, S, O, N)`, constant in each of `S` equal parts of the time that is made."""
    bias: Tensor
    """`(B, S, O)`."""
    masks: Tensor | None
    """`(B, N, F, T)` in 0..1, for the complex spectra of the channels that came: the first `N / I` are for the first
    one. None without separation: then the channels themselves are the tracks."""


class FramePooling(nn.Module):
    """One picture as a vector: a layer at every cell, and one over all of them.

    Args:
        channels: of the picture's maps.
        grid: rows and columns that the maps are averaged into if they have others.
        units: of the vector; a quarter of it at every cell.
    """

    def __init__(self, channels: int, grid: Grid, units: int) -> None:
        super().__init__()
        self.grid = grid
        self.cell = nn.Conv2d(channels, units // 4, 1)
        self.whole = nn.Linear(units // 4 * grid[0] * grid[1], units)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, channels, h, w)` to `(B, units)`."""
        cells = functional.relu(self.cell(functional.adaptive_avg_pool2d(maps, self.grid)))
        return functional.relu(self.whole(cells.flatten(1)))


class AudioVisualTrunk(nn.Module):
    """Sound and pictures, joined at every step of the encoder's smallest map.

    Args:
        size: rows and columns of the spectra.
        streams: channels of the maps of each picture stream: colours, flow; none: sound alone.
        inputs: channels of sound that come.
        layers: of the encoder.
        units: of each picture; twice as many of sound.
        grid: see `FramePooling`.
        norm: batch norm in encoder and decoder; the paper has none.
    """

    def __init__(
        self,
        size: tuple[int, int],
        streams: Sequence[int] = (512, 512),
        inputs: int = 1,
        layers: Sequence[ConvBlock] = FULL,
        units: int = 512,
        grid: Grid = (7, 14),
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, size, layers, norm)
        rows, self.steps = self.encoder.sizes[-1]
        self.heard = nn.Linear(layers[-1].channels * rows, 2 * units)
        self.seen = nn.ModuleList(FramePooling(channels, grid, units) for channels in streams)
        self.width = units * (2 + len(streams))
        self.apply(init_xavier)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """What is heard and seen at every step, and the encoder's maps.

        Args:
            magnitude: of the short-time spectra, `(B, I, F, T)`.
            maps: of one picture a stream, each `(B, channels, h, w)`.

        Returns:
            `(B, S, U)`, and the maps of all layers.
        """
        levels = self.encoder(magnitude)
        heard = functional.relu(self.heard(levels[-1].movedim(-1, 1).flatten(2)))
        seen = [
            glimpse(each)[:, None].expand(-1, self.steps, -1) for glimpse, each in zip(self.seen, maps, strict=True)
        ]
        return torch.cat([heard, *seen], -1), levels


class Localization(nn.Module):
    """How much of each track belongs into every channel; the weights start near 0.

    Args:
        width: of what is heard and seen.
        tracks: that there are.
        outputs: channels that leave.
        units: of two hidden layers.
    """

    def __init__(self, width: int, tracks: int, outputs: int, units: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.hidden = nn.Sequential(nn.Linear(width, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU())
        self.out = nn.Linear(units, outputs * (tracks + 1))
        self.apply(init_xavier)
        nn.init.trunc_normal_(self.out.weight, std=1e-3, a=-2e-3, b=2e-3)

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, S, width)` to weights `(B, S, O, N)` and bias `(B, S, O)`."""
        found = rearrange(self.out(self.hidden(fused)), "B S (O N) -> B S O N", O=self.outputs)
        return found[..., :-1], found[..., -1]


class MaskDecoder(nn.Module):
    """A way back to the size of the spectra, with what is heard and seen at its start.

    Args:
        trunk: whose encoder it mirrors.
        planes: masks.
    """

    def __init__(self, trunk: AudioVisualTrunk, planes: int) -> None:
        super().__init__()
        extra = trunk.encoder.planes[-1]
        self.join = nn.Linear(trunk.width, extra)
        self.decoder = Decoder(trunk.encoder, extra, planes)
        self.apply(init_xavier)

    def forward(self, fused: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """`(B, S, width)` and the encoder's maps to `(B, planes, F, T)`, linear."""
        joined = functional.relu(self.join(fused)).movedim(1, -1)[:, :, None]
        found: Tensor = self.decoder(levels, joined.expand(-1, -1, levels[-1].shape[-2], -1))
        return found


class Foa360Net(nn.Module):
    """Mono and a 360-degree picture to separated tracks and their weights in Y, Z and X.

    In full size spectra have 1024 two-sided bins and 127 windows, and the three steps are the tenth of a second in
    their middle. Variants: a trunk with `streams=()` is NoVideo, with one stream NoRGB or NoFlow; `separate=False` is
    NoSep. From order 1 to order 2: `inputs=4` of the trunk, `outputs=5`.

    Args:
        trunk: joins sound and pictures.
        tracks: separated from each channel that comes.
        outputs: channels that leave.
        separate: whether tracks are separated; else the channels that come are weighted themselves.
        units: of the localization's hidden layers.
    """

    def __init__(
        self, trunk: AudioVisualTrunk, tracks: int = 32, outputs: int = 3, separate: bool = True, units: int = 512
    ) -> None:
        super().__init__()
        self.inputs = trunk.encoder.planes[0]
        self.trunk = trunk
        self.localization = Localization(trunk.width, self.inputs * (tracks if separate else 1), outputs, units)
        self.separation = MaskDecoder(trunk, self.inputs * tracks) if separate else None

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> LocalizedTracks:
        """Weights, bias and masks; for the arguments see `AudioVisualTrunk.forward`."""
        fused, levels = self.trunk(magnitude, maps)
        weights, bias = self.localization(fused)
        return LocalizedTracks(weights, bias, self.separation(fused, levels).sigmoid() if self.separation else None)


class Foa360UNet(nn.Module):
    """The paper's U-Net baseline: a complex mask of the mix for every channel, and no directions in between.

    Args:
        trunk: joins sound and pictures.
        outputs: channels that leave.
    """

    def __init__(self, trunk: AudioVisualTrunk, outputs: int = 3) -> None:
        super().__init__()
        self.trunk, self.masks = trunk, MaskDecoder(trunk, 2 * outputs)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Real and imaginary parts, `(B, O, 2, F, T)`, unbounded; for the arguments see `AudioVisualTrunk.forward`."""
        found: Tensor = self.masks(*self.trunk(magnitude, maps))
        return rearrange(found, "B (O parts) F T -> B O parts F T", parts=2)


def mix_tracks(weights: Tensor, bias: Tensor, tracks: Tensor, smooth: bool = False) -> Tensor:
    """Tracks to channels: each is the weighted sum of all tracks, plus its bias.

    Args:
        weights: `(B, S, O, N)`.
        bias: `(B, S, O)`.
        tracks: `(B, N, samples)`.
        smooth: pass from the middle of one step to that of the next along a straight line, where the paper jumps.

    Returns:
        `(B, O, samples)`.
    """
    both = rearrange(torch.cat([weights, bias[..., None]], -1), "B S O N -> B (O N) S")
    timed = functional.interpolate(both, tracks.shape[-1], mode="linear" if smooth else "nearest-exact")
    timed_BONt = rearrange(timed, "B (O N) t -> B O N t", O=weights.shape[2])
    channels: Tensor = (timed_BONt[:, :, :-1] * tracks[:, None]).sum(2) + timed_BONt[:, :, -1]
    return channels
