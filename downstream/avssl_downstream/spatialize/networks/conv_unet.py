"""Strided convolutions down and up again, as Morgado et al. (NeurIPS 2018) have them and ASN's U-Net follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError

# B sounds, F rows of frequency, T columns of time

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvBlock:
    """One convolution; sizes are of frequency, then of time."""

    channels: int
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def size(self, size: Pair) -> Pair:
        """Of the map that comes out."""
        zipped = zip(size, self.kernel, self.stride, self.padding, strict=True)
        rows, columns = ((length + 2 * pad - kernel) // stride + 1 for length, kernel, stride, pad in zipped)
        return rows, columns


FULL = (
    ConvBlock(32, (16, 7), (8, 4)),
    ConvBlock(64, (7, 3), (4, 2)),
    ConvBlock(128, (5, 3), (2, 2)),
    ConvBlock(256, (5, 3), (1, 1)),
    ConvBlock(512, (5, 3), (1, 1)),
)
"""Morgado's: 1024 bins of 127 windows become 6 x 3. Nothing is padded, so that what comes out knows no edges."""
SMALL = tuple(ConvBlock(channels, (4, 4), (2, 2), (1, 1)) for channels in (16, 32, 64, 128))
"""For two CPU cores: four halvings of any size from 16 x 16 upwards."""


class Encoder(nn.Module):
    """Convolutions with ReLU; every map is kept for the way back.

    Args:
        planes: channels of the spectrum.
        size: rows and columns of the spectrum.
        layers: one after the other.
        norm: batch norm after each; the papers have none.

    Raises:
        ValueError: the spectrum is too small for the layers.
    """

    def __init__(self, planes: int, size: Pair, layers: Sequence[ConvBlock], norm: bool = False) -> None:
        super().__init__()
        self.layers, self.norm, self.sizes = tuple(layers), norm, [size]
        self.planes = [planes, *(layer.channels for layer in layers)]
        for layer in layers:
            self.sizes.append(layer.size(self.sizes[-1]))
        if min(min(each) for each in self.sizes) < 1:
            raise InputError(f"spectra of {size[0]} rows and {size[1]} columns are too small for {len(layers)} layers")
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, layer.channels, layer.kernel, layer.stride, layer.padding), _norm(layer, norm)
            )
            for before, layer in zip(self.planes, layers, strict=False)
        )
        self.apply(init_xavier)

    def forward(self, spectrum: Tensor) -> list[Tensor]:
        """`(B, planes, F, T)` to the maps of all layers, largest first.

        Raises:
            ValueError: a spectrum of another size than was said.
        """
        if tuple(spectrum.shape[-2:]) != self.sizes[0]:
            raise ValueError(f"spectra are (..., {self.sizes[0][0]}, {self.sizes[0][1]}), not {tuple(spectrum.shape)}")
        maps = [spectrum]
        for convolution in self.convolutions:
            maps.append(functional.relu(convolution(maps[-1])))
        return maps[1:]


class Decoder(nn.Module):
    """The way back: transposed convolutions, each fed what the last one made and the encoder's map of that size.

    Args:
        encoder: whose maps come.
        extra: channels that join the smallest map.
        planes: channels that leave.
    """

    def __init__(self, encoder: Encoder, extra: int, planes: int) -> None:
        super().__init__()
        self.sizes, layers = encoder.sizes, encoder.layers
        outs = [planes, *(layer.channels for layer in layers[:-1])]
        ins = [2 * layer.channels for layer in layers[:-1]] + [layers[-1].channels + extra]
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, layer.kernel, layer.stride, layer.padding)
            for before, after, layer in zip(ins, outs, layers, strict=True)
        )
        self.norms = nn.ModuleList(_norm(layer, encoder.norm) for layer in layers[:-1])
        self.apply(init_xavier)

    def forward(self, maps: Sequence[Tensor], extra: Tensor) -> Tensor:
        """The encoder's maps, and `(B, extra, F', T')` of the smallest one's size, to `(B, planes, F, T)`, linear."""
        x = torch.cat([maps[-1], extra], 1)
        for level in range(len(self.convolutions) - 1, 0, -1):
            x = functional.relu(self.norms[level - 1](self._larger(x, level)))
            x = torch.cat([x, maps[level - 1]], 1)
        return self._larger(x, 0)

    def _larger(self, x: Tensor, level: int) -> Tensor:
        found: Tensor = self.convolutions[level](x, output_size=list(self.sizes[level]))
        return found


def init_xavier(module: nn.Module) -> None:
    """Draw the weights of one layer as Glorot & Bengio do; biases are 0."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(layer: ConvBlock, norm: bool) -> nn.Module:
    return nn.BatchNorm2d(layer.channels) if norm else nn.Identity()
