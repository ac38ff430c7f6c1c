"""Towers that two CPU cores can train: dense 2-D convolution that remembers where things are."""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.tower import Tower, TowerOutput

# B clips or sounds, C channels, T time, H and W rows and columns of the picture, S = H W cells, M mel bands

Strides = tuple[int | tuple[int, int], ...]
_FIRST = 4
"""Stages up to the first block: convolution, norm, rectifier, block."""


class Block(nn.Module):
    """Two convolutions of 3 x 3 around a shortcut, the first one strided.

    Args:
        planes_in: channels that come.
        planes: channels that leave.
        stride: of both axes, or of each.
    """

    def __init__(self, planes_in: int, planes: int, stride: int | tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(planes_in, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Conv2d(planes_in, planes, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, planes_in, H, W)` to `(B, planes, H / stride, W / stride)`."""
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class SmallVideo(Tower):
    """Picture tower of the `small` preset; pictures of 32 x 32 upwards, one of them or several.

    Pooling ends at a grid instead of a point, so that an embedding can tell where in a view a thing is. Time is mixed
    twice: after the first block the difference of the pictures before and after is added, where an edge still shows
    which way it moves, and on the grid a temporal convolution; then it is averaged. One picture differs from nothing.

    Args:
        width: numbers of one embedding.
        grid: cells of the final map, along each axis.
    """

    planes = (32, 32, 64, 128)
    """Channels of stem and blocks."""

    def __init__(self, width: int = 256, grid: int = 4) -> None:
        super().__init__()
        self.width, self.grid = width, grid
        self.stages = _stages(3, 3, self.planes, (2, 2, 1))
        first, last = self.planes[1], self.planes[-1]
        # It draws no random numbers: all other weights begin as they would without it.
        self.difference = nn.Conv2d(first, first, 3, padding=1, bias=False, device="meta").to_empty(device="cpu")
        nn.init.dirac_(self.difference.weight)
        self.motion = nn.Conv2d(last, last, (3, 1), padding=(1, 0), bias=False)
        self.motion_bn = nn.BatchNorm2d(last)
        self.out = nn.Linear(last * grid * grid, width)
        self.norm = nn.LayerNorm(width)

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Pictures `(clips, 3, time, height, width)` to embeddings, and 128 maps of an eighth of their size."""
        clips = len(x)
        x = self.stages[:_FIRST](rearrange(x, "B C T H W -> (B T) C H W"))
        x = self.stages[_FIRST:](functional.relu(x + self.difference(_differences(x, clips))))
        cells_BCTS = rearrange(functional.adaptive_avg_pool2d(x, self.grid), "(B T) C H W -> B C T (H W)", B=clips)
        moved = functional.relu(self.motion_bn(self.motion(cells_BCTS)))
        embedding = self.norm(self.out((cells_BCTS + moved).mean(2).flatten(1)))
        return TowerOutput(embedding, rearrange(x, "(B T) C H W -> B C T H W", B=clips))


class SmallAudio(Tower):
    """Sound tower of the `small` preset; any number of spectra and mel bands.

    Time is pooled away, by mean and by maximum, while bands of frequency stay apart.

    Args:
        maps: input maps, 4 for `foa-logmel`, 7 for `foa-iv`.
        width: numbers of one embedding.
        bands: bands of frequency of the final map.
    """

    planes = (32, 32, 64, 96)
    """Channels of stem and blocks; only time is strided in the last two, as frequency tells things apart."""

    def __init__(self, maps: int, width: int = 256, bands: int = 8) -> None:
        super().__init__()
        self.width, self.bands = width, bands
        self.stages = _stages(maps, 5, self.planes, (2, (2, 1), (2, 1)))
        self.out = nn.Linear(2 * self.planes[-1] * bands, width)
        self.norm = nn.LayerNorm(width)

    def early(self, x: Tensor) -> Tensor:
        """32 maps of a quarter of the spectra's size."""
        found: Tensor = self.stages[:_FIRST](x)
        return found

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Spectra `(sounds, maps, time, mels)` to embeddings, and 96 maps of 1/16 and 1/4 of their size."""
        x = self.stages(x)
        pooled = torch.cat([x.mean(2), x.amax(2)], dim=1)
        embedding = self.norm(self.out(functional.adaptive_avg_pool1d(pooled, self.bands).flatten(1)))
        return TowerOutput(embedding, x)


def _differences(x: Tensor, clips: int) -> Tensor:
    """What follows less what went before, of maps `(B T, C, H, W)`; at both ends less the map itself."""
    maps = rearrange(x, "(B T) C H W -> B T C H W", B=clips)
    later, earlier = torch.cat([maps[:, 1:], maps[:, -1:]], 1), torch.cat([maps[:, :1], maps[:, :-1]], 1)
    return (later - earlier).flatten(0, 1)


def _stages(maps: int, kernel: int, planes: tuple[int, ...], strides: Strides) -> nn.Sequential:
    """A stem, strided by 2, and a block for each further entry of `planes`."""
    stem = nn.Conv2d(maps, planes[0], kernel, 2, kernel // 2, bias=False)
    blocks = [Block(*pair, stride) for pair, stride in zip(pairwise(planes), strides, strict=True)]
    return nn.Sequential(stem, nn.BatchNorm2d(planes[0]), nn.ReLU(inplace=True), *blocks)
