"""The heads of Sep-Stereo that let every cell of a picture listen (Zhou et al., ECCV 2020)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.unet25d import DecoderOutput, init_weights, output_layer, up

# B sounds, C channels of the picture's maps, K cells of the picture, F rows and T columns of a map of sound


class StereoMasks(NamedTuple):
    """Masks of both channels, each `(B, 2, F, T)` in -1..1: real and imaginary part, to be applied to the mix."""

    left: Tensor
    right: Tensor


class AVFusionBlock(nn.Module):
    """How much of a map of sound belongs to each cell of the picture; parameters named as in the published checkpoints.

    `channel_mapping_conv_b` is used by nobody, there as here, and only kept because it is in the checkpoints.

    Args:
        channels: of the map of sound.
        visual_channels: of the picture's maps.
    """

    def __init__(self, channels: int, visual_channels: int) -> None:
        super().__init__()
        self.channel_mapping_conv_w = nn.Conv1d(visual_channels, channels, 1)
        self.channel_mapping_conv_b = nn.Conv1d(visual_channels, channels, 1).requires_grad_(False)

    def forward(self, audio: Tensor, cells_BCK: Tensor) -> Tensor:
        """`(B, channels, F, T)` and `(B, C, K)` to their inner products, `(B, K, F, T)`."""
        kernels = functional.relu(self.channel_mapping_conv_w(cells_BCK))
        return torch.einsum("bck,bcft->bkft", kernels, audio)


class APNet(nn.Module):
    """Associates picture and sound at all four levels of the U-Net's decoder; 1,766,710 parameters by default.

    Args:
        width: of the U-Net.
        visual_channels: channels of the picture's maps.
        grid: rows and columns that the maps are averaged into if they have others.
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
        self.lastconv_left = output_layer(cells * 2, 2)
        self.lastconv_right = output_layer(cells * 2, 2)
        self.apply(init_weights)

    def forward(self, decoded: DecoderOutput, maps: Tensor) -> StereoMasks:
        """Masks of left and right.

        Args:
            decoded: what the U-Net made of the mix.
            maps: of the picture, `(B, C, h, w)`, as the U-Net had them.
        """
        (u1, u2, u3, u4), cells = decoded.levels, pool_to_cells(maps, self.grid)
        fused = self.fusion_upconv1(self.fusion1(u1, cells))
        fused = self.fusion_upconv2(torch.cat([self.fusion2(u2, cells), fused], 1))
        fused = self.fusion_upconv3(torch.cat([self.fusion3(u3, cells), fused], 1))
        fused = torch.cat([self.fusion4(u4, cells), fused], 1)
        return StereoMasks(self.lastconv_left(fused) * 2 - 1, self.lastconv_right(fused) * 2 - 1)


class AssociativeConv(nn.Module):
    """Associates picture and sound at the last level alone; arguments as those of `APNet`, without a norm."""

    def __init__(self, width: int = 64, visual_channels: int = 512, grid: tuple[int, int] = (7, 14)) -> None:
        super().__init__()
        self.grid, cells = grid, grid[0] * grid[1]
        self.fusion = AVFusionBlock(width, visual_channels)
        self.lastconv_left = output_layer(cells, 2)
        self.lastconv_right = output_layer(cells, 2)
        self.apply(init_weights)

    def forward(self, decoded: DecoderOutput, maps: Tensor) -> StereoMasks:
        """Masks of left and right; see `APNet.forward`."""
        fused = self.fusion(decoded.levels[-1], pool_to_cells(maps, self.grid))
        return StereoMasks(self.lastconv_left(fused) * 2 - 1, self.lastconv_right(fused) * 2 - 1)


def pool_to_cells(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps `(B, C, h, w)` averaged into a grid: `(B, C, K)`, row by row."""
    return functional.adaptive_avg_pool2d(maps, grid).flatten(2)


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """The picture of two solos at both ends of a stage: nothing but their strongest features in the outer columns.

    With it, separating the two is making left and right of them, and clips with mono sound teach the network too.

    Args:
        left: maps of one picture, `(B, C, h, w)`.
        right: likewise.

    Returns:
        `(B, C, h, w)`.
    """
    stage = torch.zeros_like(left)
    stage[..., 0], stage[..., -1] = left.amax(-1), right.amax(-1)
    return stage
