"""Small towers, trainable on two CPU cores: 2-D convolutions that keep position and frequency."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.compiler import is_compiling
from torch.nn import functional

from avssl.models.tower import Tower, TowerOutput

# B clips, C channels, T time, H and W rows and columns, S = H W cells, M mel bands

Strides = tuple[int | tuple[int, int], ...]
_FIRST_BLOCK = 4
"""Stages up to the first block: convolution, norm, ReLU, block."""


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions, the first one strided.

    Args:
        planes_in: input channels.
        planes: output channels.
        stride: stride of both axes, or of each.
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
        stride = self.conv1.stride
        x, kept = (x, x) if stride == (1, 1) else strided(x, stride)
        y = torch.relu_(self.bn1(self.conv1(x)))
        shortcut = functional.conv2d(kept, self.shortcut.weight)
        return torch.relu_(self.bn2(self.conv2(y)).add_(shortcut))


class SmallVideo(Tower):
    """Video tower of the `small` preset; one or more frames of 32 x 32 pixels or larger.

    Maps are pooled to a grid instead of a point, so that embeddings keep positions. Time is mixed twice: the difference
    of next and previous frame is added after the first block, where edges still show the direction of motion, and a
    temporal convolution acts on the grid; then time is averaged. The difference of a single frame is 0.

    Args:
        width: embedding dimension.
        grid: rows and columns of the final grid.
    """

    planes = (32, 32, 64, 128)
    """Channels of stem and blocks."""
    random = False
    pooling = ("motion", "motion_bn", "out", "norm")

    def __init__(self, width: int = 256, grid: int = 8) -> None:
        super().__init__()
        self.width, self.grid = width, grid
        self.stages = _stages(3, 3, self.planes, (2, 2, 1))
        first, last = self.planes[1], self.planes[-1]
        # Initialised without random numbers, so that all other initial weights are as without it.
        self.difference = nn.Conv2d(first, first, 3, padding=1, bias=False, device="meta").to_empty(device="cpu")
        nn.init.dirac_(self.difference.weight)
        self.motion = nn.Conv2d(last, last, (3, 1), padding=(1, 0), bias=False)
        self.motion_bn = nn.BatchNorm2d(last)
        self.out = nn.Linear(last * grid * grid, width)
        self.norm = nn.LayerNorm(width)

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Frames `(clips, 3, time, height, width)` to embeddings, and 128 maps of 1/8 of their size."""
        clips, _, times = x.shape[:3]
        x = self.stages[:_FIRST_BLOCK](rearrange(x, "B C T H W -> (B T) C H W"))
        if times == 1:  # without the convolution of zeros, and the rectifier of what is rectified
            x = unused(x, self.difference.weight)
        else:
            x = functional.relu(x + self.difference(_differences(x, clips)))
        x = channels_last_gradient(self.stages[_FIRST_BLOCK:](x))
        cells_BCTS = rearrange(self._cells(x), "(B T) C H W -> B C T (H W)", B=clips)
        motion = channels_last_gradient(torch.relu_(self.motion_bn(self.motion(cells_BCTS))))
        embedding = self.norm(self.out((cells_BCTS + motion).mean(2).flatten(1)))
        return TowerOutput(embedding, rearrange(x, "(B T) C H W -> B C T H W", B=clips))

    def _cells(self, x: Tensor) -> Tensor:
        """Means of maps over the cells of the grid."""
        if x.shape[-2] % self.grid or x.shape[-1] % self.grid:
            return functional.adaptive_avg_pool2d(x, self.grid)
        if is_compiling():
            return functional.avg_pool2d(x, (x.shape[-2] // self.grid, x.shape[-1] // self.grid))
        return _CellMeans.apply(x, self.grid)  # type: ignore[no-any-return, no-untyped-call]


class SmallAudio(Tower):
    """Audio tower of the `small` preset; any number of time frames and mel bands.

    Time is pooled by mean and maximum, while frequency bands are kept.

    Args:
        maps: feature maps, 4 for `foa-logmel`, 7 for `foa-iv`.
        width: embedding dimension.
        bands: frequency bands after pooling.
    """

    planes = (32, 32, 64, 96)
    """Channels of stem and blocks; the last two are strided in time only, to keep frequency resolution."""
    random = False
    pooling = ("out", "norm")

    def __init__(self, maps: int, width: int = 256, bands: int = 8) -> None:
        super().__init__()
        self.width, self.bands = width, bands
        self.stages = _stages(maps, 5, self.planes, (2, (2, 1), (2, 1)))
        self.out = nn.Linear(2 * self.planes[-1] * bands, width)
        self.norm = nn.LayerNorm(width)

    def early(self, x: Tensor) -> Tensor:
        """32 maps of 1/4 of the spectrogram size."""
        maps: Tensor = self.stages[:_FIRST_BLOCK](x)
        return maps

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Spectrograms `(clips, maps, time, mels)` to embeddings, and 96 maps of 1/16 and 1/4 of their size."""
        x = channels_last_gradient(self.stages(x))
        # As it lies in memory, and not in bfloat16, whose reductions are not vectorised.
        cells_BTMC = x.permute(0, 2, 3, 1).to(torch.promote_types(x.dtype, torch.float32))
        pooled = torch.cat([cells_BTMC.mean(1), cells_BTMC.amax(1)], dim=2).mT
        if pooled.shape[-1] % self.bands:
            pooled = functional.adaptive_avg_pool1d(pooled, self.bands)
        else:
            pooled = rearrange(pooled, "B C (bands M) -> B C bands M", bands=self.bands).mean(3)
        embedding = self.norm(self.out(pooled.flatten(1)))
        return TowerOutput(embedding, x)


def _differences(x: Tensor, clips: int) -> Tensor:
    """Next minus previous frame of maps `(B T, C, H, W)`; at both ends, the frame itself replaces the missing one."""
    maps = rearrange(x, "(B T) C H W -> B T C H W", B=clips)
    later, earlier = torch.cat([maps[:, 1:], maps[:, -1:]], 1), torch.cat([maps[:, :1], maps[:, :-1]], 1)
    return (later - earlier).flatten(0, 1)


def channels_last_gradient(x: Tensor) -> Tensor:
    """The same maps `(B, C, H, W)`; their gradient gets channels innermost in memory.

    A pooling layer's gradient is in another layout than the maps; every layer before it would take twice as long.
    """
    if is_compiling() or not x.requires_grad:  # a compiler chooses the layout itself
        return x
    return _ChannelsLastGradient.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def strided(x: Tensor, stride: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Maps `(B, C, H, W)`, and those of their positions that a stride keeps; see `_Strided`."""
    if is_compiling():
        return x, x[:, :, :: stride[0], :: stride[1]]
    return _Strided.apply(x, stride)  # type: ignore[no-any-return, no-untyped-call]


def unused(x: Tensor, weight: Tensor) -> Tensor:
    """Maps, and a weight that does not change them: its gradient is 0, so that its decay goes on."""
    if is_compiling():
        return x + 0 * weight.sum()
    return _Unused.apply(x, weight)  # type: ignore[no-any-return, no-untyped-call]


class _ChannelsLastGradient(torch.autograd.Function):
    """Identity; see `channels_last_gradient`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """`x` itself."""
        return x.view_as(x)

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # type: ignore[override]
        """The gradient, copied if it is in another layout."""
        return upstream.contiguous(memory_format=torch.channels_last)


class _CellMeans(torch.autograd.Function):
    """`avg_pool2d` of maps `(B, C, H, W)` to `(B, C, grid, grid)`, with a gradient ten times as fast."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: int) -> Tensor:
        """Means of the cells."""
        ctx.size = x.shape[-2:]
        return functional.avg_pool2d(x, (x.shape[-2] // grid, x.shape[-1] // grid))

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The gradient of each cell, shared by its positions."""
        height, width = ctx.size
        share = upstream * (upstream.shape[-1] * upstream.shape[-2] / (height * width))
        share = share.contiguous(memory_format=torch.channels_last)
        return functional.interpolate(share, (height, width), mode="nearest-exact"), None


class _Strided(torch.autograd.Function):
    """Maps `(B, C, H, W)`, and those of their positions that a stride keeps.

    A strided 1 x 1 convolution of all positions has a gradient that is slow, mostly zeros, and added in a pass of its
    own. The first output may have one consumer: its gradient is changed in place.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """`x` itself, and the positions."""
        ctx.stride = stride
        return x.view_as(x), x[:, :, :: stride[0], :: stride[1]].contiguous(memory_format=torch.channels_last)

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, to_all: Tensor, to_part: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """The sum of both gradients, in the memory of the first."""
        to_all[:, :, :: ctx.stride[0], :: ctx.stride[1]].add_(to_part)
        return to_all, None


class _Unused(torch.autograd.Function):
    """Identity of maps; see `unused`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """`x` itself."""
        ctx.save_for_backward(weight)
        return x.view_as(x)

    @staticmethod
    @once_differentiable  # type: ignore[misc, no-untyped-call]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """The gradient of the maps, and 0."""
        return upstream, torch.zeros_like(ctx.saved_tensors[0])


def _stages(maps: int, kernel: int, planes: tuple[int, ...], strides: Strides) -> nn.Sequential:
    """A stem, strided by 2, and a block for each further entry of `planes`."""
    stem = nn.Conv2d(maps, planes[0], kernel, 2, kernel // 2, bias=False)
    blocks = [Block(*pair, stride) for pair, stride in zip(pairwise(planes), strides, strict=True)]
    return nn.Sequential(stem, nn.BatchNorm2d(planes[0]), nn.ReLU(inplace=True), *blocks)
