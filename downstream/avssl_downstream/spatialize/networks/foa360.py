"""Networks of Morgado et al. (NeurIPS 2018): a mix is separated into tracks, and each track is localized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.audio_branch import resample_steps
from avssl_downstream.spatialize.networks.conv_unet import FULL, ConvBlock, Decoder, Encoder, init_xavier

# B windows, I input channels, O output channels, N tracks, S time steps, U units
# F bins and T frames of spectrograms

Grid = tuple[int, int]


class LocalizedTracks(NamedTuple):
    """Masks that separate tracks, and the weights of each track in every output channel."""

    weights: Tensor
    """`(B, S, O, N)`, constant in each of `S` equal parts of the output."""
    bias: Tensor
    """`(B, S, O)`."""
    masks: Tensor | None
    """`(B, N, F, T)` in 0..1, for the complex spectrograms of the input channels: the first `N / I` are for the first
    one. None without separation: then the input channels are the tracks."""
    attention: Tensor | None = None
    """`(B, N, P + 1)`, of each track over the cells of the frame and "absent"; without separation of all audio,
    `(B, 1, P + 1)`; with a direction prior at each time step, `(B, S, N, P + 1)`. None: tracks are not localized by
    attention."""


class FramePooling(nn.Module):
    """Feature maps of one frame to a vector: a layer per cell, then one over all cells.

    Args:
        channels: of the visual feature maps.
        grid: rows and columns to which feature maps are pooled.
        units: of the vector; a quarter of them per cell.
    """

    def __init__(self, channels: int, grid: Grid, units: int) -> None:
        super().__init__()
        self.grid = grid
        self.cell = nn.Conv2d(channels, units // 4, 1)
        self.joint = nn.Linear(units // 4 * grid[0] * grid[1], units)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, channels, h, w)` to `(B, units)`."""
        cells = functional.relu(self.cell(functional.adaptive_avg_pool2d(maps, self.grid)))
        return functional.relu(self.joint(cells.flatten(1)))


class AudioVisualTrunk(nn.Module):
    """Audio and visual features, concatenated at every time step of the encoder's smallest map.

    Args:
        size: bins F and frames T of the spectrograms.
        streams: channels of each image stream's feature maps: RGB, flow; none: audio only.
        inputs: I, audio channels.
        layers: of the encoder.
        units: of each image stream; audio has twice as many.
        grid: see `FramePooling`.
        norm: batch norm in encoder and decoder; the paper has none.
        tower: channels of the features of an audio tower; the paper has none.
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
        tower: int = 0,
    ) -> None:
        super().__init__()
        self.tower = tower
        self.encoder = Encoder(inputs, size, layers, norm)
        rows, self.steps = self.encoder.sizes[-1]
        self.audio = nn.Linear(layers[-1].channels * rows, 2 * units)
        self.visual = nn.ModuleList(FramePooling(channels, grid, units) for channels in streams)
        self.width = units * (2 + len(streams)) + tower
        self.apply(init_xavier)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Audio-visual features of every time step, and the encoder's feature maps.

        Args:
            magnitude: of the spectrograms, `(B, I, F, T)`.
            maps: visual feature maps of one frame per stream, each `(B, channels, h, w)`; then, with `tower`, features
                of the audio tower, see `AudioBranch.forward`.

        Returns:
            `(B, S, U)`, and the feature maps of all layers.
        """
        levels = self.encoder(magnitude)
        audio = functional.relu(self.audio(levels[-1].movedim(-1, 1).flatten(2)))
        maps, tower = self.split(maps)
        visual = [
            pooling(each)[:, None].expand(-1, self.steps, -1) for pooling, each in zip(self.visual, maps, strict=True)
        ]
        return torch.cat([audio, *visual, *(resample_steps(each, self.steps).mT for each in tower)], -1), levels

    def split(self, maps: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Visual feature maps, and features of the audio tower, one or none; see `forward`."""
        return (maps[:-1], maps[-1:]) if self.tower else (maps, ())


class Localization(nn.Module):
    """Weights of each track in every output channel; they start near 0.

    Args:
        width: of the audio-visual features.
        tracks: N.
        outputs: O, output channels.
        units: of the two hidden layers.
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
    """Decoder from audio-visual features to masks of the spectrogram's size.

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

    def forward(self, fused: Tensor, levels: Sequence[Tensor], columns: range | None = None) -> Tensor:
        """`(B, S, width)` and the encoder's feature maps to `(B, planes, F, T)`, linear; T the `columns`, or all."""
        joined = functional.relu(self.join(fused)).movedim(1, -1)[:, :, None]
        found: Tensor = self.decoder(levels, joined.expand(-1, -1, levels[-1].shape[-2], -1), columns)
        return found


class Foa360Net(nn.Module):
    """Separates mono audio into tracks, and localizes each in Y, Z and X by audio and a 360-degree frame.

    At full size spectrograms have 1024 two-sided bins and 127 frames, and the three time steps cover the tenth of a
    second in their middle. Variants: a trunk with `streams=()` is NoVideo, with one stream NoRGB or NoFlow;
    `separate=False` is NoSep. From first to second order: `inputs=4` of the trunk, `outputs=5`.

    Args:
        trunk: audio-visual features.
        tracks: separated from each input channel.
        outputs: O, output channels.
        separate: separate tracks; otherwise the input channels themselves are weighted.
        units: of the hidden layers of the localization.
    """

    def __init__(
        self, trunk: AudioVisualTrunk, tracks: int = 32, outputs: int = 3, separate: bool = True, units: int = 512
    ) -> None:
        super().__init__()
        self.inputs = trunk.encoder.planes[0]
        self.trunk = trunk
        self.localization = Localization(trunk.width, self.inputs * (tracks if separate else 1), outputs, units)
        self.separation = MaskDecoder(trunk, self.inputs * tracks) if separate else None

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor], columns: range | None = None) -> LocalizedTracks:
        """Weights, bias and masks.

        Args:
            magnitude: see `AudioVisualTrunk.forward`.
            maps: see there.
            columns: frames of the masks that are needed; None: all.
        """
        fused, levels = self.trunk(magnitude, maps)
        weights, bias = self.localization(fused)
        masks = self.separation(fused, levels, columns).sigmoid() if self.separation else None
        return LocalizedTracks(weights, bias, masks)


class Foa360UNet(nn.Module):
    """U-Net baseline of the paper: a complex mask of the mix for every output channel, without localization.

    Args:
        trunk: audio-visual features.
        outputs: O, output channels.
    """

    def __init__(self, trunk: AudioVisualTrunk, outputs: int = 3) -> None:
        super().__init__()
        self.trunk, self.masks = trunk, MaskDecoder(trunk, 2 * outputs)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Real and imaginary parts, `(B, O, 2, F, T)`, unbounded; for the arguments see `AudioVisualTrunk.forward`."""
        found: Tensor = self.masks(*self.trunk(magnitude, maps))
        return rearrange(found, "B (O parts) F T -> B O parts F T", parts=2)


def mix_tracks(weights: Tensor, bias: Tensor, tracks: Tensor, smooth: bool = False) -> Tensor:
    """Weighted sum of all tracks, plus a bias, for every output channel.

    Args:
        weights: `(B, S, O, N)`.
        bias: `(B, S, O)`.
        tracks: `(B, N, samples)`.
        smooth: interpolate linearly between the middles of time steps; the paper has jumps.

    Returns:
        `(B, O, samples)`.
    """
    both = rearrange(torch.cat([weights, bias[..., None]], -1), "B S O N -> B (O N) S")
    timed = functional.interpolate(both, tracks.shape[-1], mode="linear" if smooth else "nearest-exact")
    timed_BONt = rearrange(timed, "B (O N) t -> B O N t", O=weights.shape[2])
    channels: Tensor = (timed_BONt[:, :, :-1] * tracks[:, None]).sum(2) + timed_BONt[:, :, -1]
    return channels
