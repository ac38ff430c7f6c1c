"""AVSA's audio tower Conv2D-10 on mel spectrograms (Morgado et al., NeurIPS 2020)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from avssl.models.tower import Tower, TowerOutput


class Block(nn.Module):
    """Two convolutions of 3 x 3, the first strided; parameters named as in the published checkpoints.

    Args:
        planes_in: input channels.
        planes: output channels.
        stride: stride in time and mel band.
    """

    def __init__(self, planes_in: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(planes_in, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)

    def forward(self, x: Tensor) -> Tensor:
        """`(clips, planes_in, time, mels)` to `(clips, planes, time / stride, mels / stride)`."""
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)))


class Conv2D10(Tower):
    """AVSA's Conv2D-10: 4,735,104 parameters for four maps, 4,744,512 for seven, 4,725,696 for one.

    Args:
        maps: feature maps, 4 for `foa-logmel`, 7 for `foa-iv`.
    """

    width = 512

    def __init__(self, maps: int) -> None:
        super().__init__()
        stem = nn.Conv2d(maps, 64, 7, 2, 3, bias=False)
        self.conv1 = nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        self.block1 = Block(64, 64)
        self.block2 = Block(64, 128, 2)
        self.block3 = Block(128, 256, 2)
        self.block4 = Block(256, 512)

    def early(self, x: Tensor) -> Tensor:
        """64 maps of half the spectrogram size."""
        maps: Tensor = self.block1(self.conv1(x))
        return maps

    def forward_features(self, x: Tensor) -> TowerOutput:
        """Spectrograms `(clips, maps, time, mels)` to embeddings (maximum over time and mel band), and 512 maps."""
        x = self.block4(self.block3(self.block2(self.early(x))))
        return TowerOutput(x.amax(dim=(2, 3)), x)
