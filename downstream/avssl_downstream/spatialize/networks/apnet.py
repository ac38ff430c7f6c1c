"""Audio-visual fusion networks of Sep-Stereo (Zhou et al., ECCV 2020): APNet and its one-level variant."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.unet25d import DecoderOutput, init_weights, output_layer, up

# B windows, C channels of the visual feature maps, K cells of these maps, F rows and T columns of audio feature maps


class StereoMasks(NamedTuple):
    """Complex masks of both channels, each `(B, 2, F, T)` in -1..1: real and imaginary part, applied to the mix."""

    left: Tensor
    right: Tensor


class SeparationHead(nn.Module):
    """Masks of the sources on the left and on the right, from the features that masks of left and right come from.

    Args:
        channels: of the features: of APNet, of `AssociativeConv`, or of the last decoder layer of the U-Net.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lastconv_left = output_layer(channels, 2)
        self.lastconv_right = output_layer(channels, 2)
        self.apply(init_weights)

    def forward(self, features: Tensor) -> StereoMasks:
        """Masks of features `(B, channels, F / 2, T / 2)`."""
        return StereoMasks(self.lastconv_left(features) * 2 - 1, self.lastconv_right(features) * 2 - 1)


class AVFusionBlock(nn.Module):
    """Inner products of audio features with the visual features of each cell; parameter names of the checkpoints.

    `channel_mapping_conv_b` is unused, as in the published code, and kept because the checkpoints have it.

    Args:
        channels: of the audio feature maps.
        visual_channels: C, of the visual feature maps.
    """

    def __init__(self, channels: int, visual_channels: int) -> None:
        super().__init__()
        self.channel_mapping_conv_w = nn.Conv1d(visual_channels, channels, 1)
        self.channel_mapping_conv_b = nn.Conv1d(visual_channels, channels, 1).requires_grad_(False)

    def forward(self, audio: Tensor, cells_BCK: Tensor) -> Tensor:
        """`(B, channels, F, T)` and `(B, C, K)` to `(B, K, F, T)`."""
        kernels = functional.relu(self.channel_mapping_conv_w(cells_BCK))
        return torch.einsum("bck,bcft->bkft", kernels, audio)


class APNet(nn.Module):
    """Fuses audio and visual features at four levels of the U-Net's decoder; 1,766,710 parameters by default.

    Args:
        width: of the U-Net.
        visual_channels: C, of the visual feature maps.
        grid: rows and columns to which visual feature maps are pooled.
        norm: `batch` or `instance`.
    """

    def __init__(
        self, width: int = 64, visual_channels: int = 512, grid: tuple[int, int] = (7, 14), norm: str = "batch"
    ) -> None:
        super().__init__()
        self.grid, cells = grid, grid[0] * grid[1]
        self.fusion1 = AVFusionBlock(width * 8, visual_channels)
        self.fusion2 = AVFusionBlock(width * 4, visual_channels)
        self.fusion3 = AVFusionBlock(width * 2, visual_channels)
        self.fusion4 = AVFusionBlock(width, visual_channels)
        self.fusion_upconv1 = up(cells, cells, norm)
        self.fusion_upconv2 = up(cells * 2, cells, norm)
        self.fusion_upconv3 = up(cells * 2, cells, norm)
        self.channels = cells * 2
        self.lastconv_left = output_layer(self.channels, 2)
        self.lastconv_right = output_layer(self.channels, 2)
        self.apply(init_weights)

    def forward(self, decoded: DecoderOutput, maps: Tensor) -> StereoMasks:
        """Masks of left and right; see `fused`."""
        return self.masks(self.fused(decoded, maps))

    def masks(self, features: Tensor) -> StereoMasks:
        """Masks of left and right of the features of `fused`."""
        return StereoMasks(self.lastconv_left(features) * 2 - 1, self.lastconv_right(features) * 2 - 1)

    def fused(self, decoded: DecoderOutput, maps: Tensor) -> Tensor:
        """Fused features, `(B, channels, F / 2, T / 2)`.

        Args:
            decoded: of the U-Net, for the mix.
            maps: visual feature maps, `(B, C, h, w)`, as given to the U-Net.
        """
        (u1, u2, u3, u4), cells = decoded.levels, pool_to_cells(maps, self.grid)
        fused = self.fusion_upconv1(self.fusion1(u1, cells))
        fused = self.fusion_upconv2(torch.cat([self.fusion2(u2, cells), fused], 1))
        fused = self.fusion_upconv3(torch.cat([self.fusion3(u3, cells), fused], 1))
        return torch.cat([self.fusion4(u4, cells), fused], 1)


class AssociativeConv(nn.Module):
    """Fuses audio and visual features at the last level only; arguments of `APNet`, without a norm."""

    def __init__(self, width: int = 64, visual_channels: int = 512, grid: tuple[int, int] = (7, 14)) -> None:
        super().__init__()
        self.grid, cells = grid, grid[0] * grid[1]
        self.fusion = AVFusionBlock(width, visual_channels)
        self.channels = cells
        self.lastconv_left = output_layer(cells, 2)
        self.lastconv_right = output_layer(cells, 2)
        self.apply(init_weights)

    def forward(self, decoded: DecoderOutput, maps: Tensor) -> StereoMasks:
        """Masks of left and right; see `APNet.fused`."""
        return self.masks(self.fused(decoded, maps))

    def masks(self, features: Tensor) -> StereoMasks:
        """Masks of left and right of the features of `fused`."""
        return StereoMasks(self.lastconv_left(features) * 2 - 1, self.lastconv_right(features) * 2 - 1)

    def fused(self, decoded: DecoderOutput, maps: Tensor) -> Tensor:
        """Fused features; see `APNet.fused`."""
        found: Tensor = self.fusion(decoded.levels[-1], pool_to_cells(maps, self.grid))
        return found


def pool_to_cells(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average feature maps `(B, C, h, w)` over the cells of a grid: `(B, C, K)`, row by row."""
    return functional.adaptive_avg_pool2d(maps, grid).flatten(2)


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """Visual feature maps of two solo clips placed at the left and right edge of a black frame.

    Only the strongest features of each clip stay, in the outer columns. Separating the two clips then equals
    generating left and right, so that clips with mono audio train the network too.

    Args:
        left: feature maps `(B, C, h, w)` of one clip.
        right: of the other clip, same shape.

    Returns:
        `(B, C, h, w)`.
    """
    stage = torch.zeros_like(left)
    stage[..., 0], stage[..., -1] = left.amax(-1), right.amax(-1)
    return stage
