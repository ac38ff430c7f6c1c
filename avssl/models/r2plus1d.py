"""AVSA's video tower: R(2+1)D-18 without mid-plane expansion (Morgado et al., NeurIPS 2020)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from avssl.models.tower import Tower, TowerOutput

Size = tuple[int, int, int]


class Block(nn.Module):
    """Residual block of two pairs of spatial and temporal convolution.

    All convolutions have the output channels of the block, unlike torchvision's R(2+1)D. Parameters are named as in the
    published checkpoints.

    Args:
        planes_in: input channels.
        planes: output channels.
        stride: stride in time, height and width, of the first pair.
    """

    def __init__(self, planes_in: int, planes: int, stride: Size = (1, 1, 1)) -> None:
        super().__init__()
        self.spt_conv1 = _spatial(planes_in, planes, (1, *stride[1:]))
        self.spt_bn1 = nn.BatchNorm3d(planes)
        self.tmp_conv1 = _temporal(planes, stride[0])
        self.tmp_bn1 = nn.BatchNorm3d(planes)
        self.spt_conv2 = _spatial(planes, planes, (1, 1, 1))
        self.spt_bn2 = nn.BatchNorm3d(planes)
        self.tmp_conv2 = _temporal(planes, 1)
        self.out_bn = nn.BatchNorm3d(planes)
        self.res_conv = None if planes_in == planes else nn.Conv3d(planes_in, planes, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(clips, planes_in, time, height, width)` to `(clips, planes, ...)`, sizes divided by `stride`."""
        shortcut = x if self.res_conv is None else self.res_conv(x)
        x = functional.relu(self.spt_bn1(self.spt_conv1(x)))
        x = functional.relu(self.tmp_bn1(self.tmp_conv1(x)))
        x = functional.relu(self.spt_bn2(self.spt_conv2(x)))
        return functional.relu(self.out_bn(self.tmp_conv2(x) + shortcut))


class R2Plus1D(Tower):
    """AVSA's R(2+1)D-18 variant, 15,379,136 parameters; clips of 8 frames of 112 x 112 in the paper."""

    width = 512

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.conv1 = nn.Sequential(stem, nn.BatchNorm3d(64), nn.ReLU(inplace=True))
        self.conv2x = nn.Sequential(Block(64, 64), Block(64, 64))
        self.conv3x = nn.Sequential(Block(64, 128, (2, 2, 2)), Block(128, 128))
        self.conv4x = nn.Sequential(Block(128, 256, (2, 2, 2)), Block(256, 256))
        self.conv5x = nn.Sequential(Block(256, 512, (2, 2, 2)), Block(512, 512))

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Frames `(clips, 3, time, height, width)` to embeddings (maximum over time and space), and 512 maps."""
        x = self.conv1(x)
        x = self.conv5x(self.conv4x(self.conv3x(self.conv2x(x))))
        return TowerOutput(x.amax(dim=(2, 3, 4)), x)


def _spatial(planes_in: int, planes: int, stride: Size) -> nn.Conv3d:
    return nn.Conv3d(planes_in, planes, (1, 3, 3), stride, (0, 1, 1), bias=False)


def _temporal(planes: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(planes, planes, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
