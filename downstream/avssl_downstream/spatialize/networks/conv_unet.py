"""U-Net of strided convolutions (Morgado et al., NeurIPS 2018), also used by ASN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError

# B windows, F frequency rows, T time columns

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvBlock:
    """One convolution; sizes are (frequency, time)."""

    channels: int
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def size(self, size: Pair) -> Pair:
        """Size of the output for an input size."""
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
"""Layers of Morgado et al.: 1024 bins of 127 frames become 6 x 3, without padding, so no edge effects."""
SMALL = tuple(ConvBlock(channels, (4, 4), (2, 2), (1, 1)) for channels in (16, 32, 64, 128))
"""For two CPU cores: four halvings, from 16 x 16 upwards."""


class Encoder(nn.Module):
    """Convolutions with ReLU, which return the feature maps of all layers for skip connections.

    Args:
        planes: input channels.
        size: rows and columns of the input.
        layers: in order.
        norm: batch norm after each layer; the papers have none.

    Raises:
        ValueError: an input too small for the layers.
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
        """`(B, planes, F, T)` to the feature maps of all layers, largest first.

        Raises:
            ValueError: another input size than declared.
        """
        if tuple(spectrum.shape[-2:]) != self.sizes[0]:
            raise ValueError(
                f"expected spectra (..., {self.sizes[0][0]}, {self.sizes[0][1]}), got {tuple(spectrum.shape)}"
            )
        maps = [spectrum]
        for convolution in self.convolutions:
            maps.append(functional.relu(convolution(maps[-1])))
        return maps[1:]


class Decoder(nn.Module):
    """Transposed convolutions with skip connections from the encoder.

    Args:
        encoder: whose feature maps are used.
        extra: channels concatenated to the smallest map.
        planes: output channels.
    """

    def __init__(self, encoder: Encoder, extra: int, planes: int) -> None:
        super().__init__()
        self.sizes, layers = encoder.sizes, encoder.layers
        self.layers = layers
        outs = [planes, *(layer.channels for layer in layers[:-1])]
        ins = [2 * layer.channels for layer in layers[:-1]] + [layers[-1].channels + extra]
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(before, after, layer.kernel, layer.stride, layer.padding)
            for before, after, layer in zip(ins, outs, layers, strict=True)
        )
        self.norms = nn.ModuleList(_norm(layer, encoder.norm) for layer in layers[:-1])
        self.apply(init_xavier)

    def forward(self, maps: Sequence[Tensor], extra: Tensor, columns: range | None = None) -> Tensor:
        """Encoder maps, and `(B, extra, F', T')` of the smallest one's size, to linear `(B, planes, F, T)`.

        Args:
            maps: of all layers, largest first.
            extra: concatenated to the smallest one.
            columns: of the output that are needed, T of them; no others are computed. None: all. Not in training with
                batch norm, whose statistics are of all columns.
        """
        assert columns is None or not self.training or isinstance(self.norms[0], nn.Identity)
        parts = self._parts(range(self.sizes[0][1]) if columns is None else columns)
        x = _columns(torch.cat([maps[-1], extra], 1), parts[-1])
        for level in range(len(self.convolutions) - 1, 0, -1):
            x = functional.relu(self.norms[level - 1](self._larger(x, level, parts)))
            x = torch.cat([x, _columns(maps[level - 1], parts[level])], 1)
        return self._larger(x, 0, parts)

    def _parts(self, columns: range) -> list[range]:
        """Columns of every size that the columns of the output depend on, largest size first."""
        found = [columns]
        for layer, (_, width) in zip(self.layers, self.sizes[1:], strict=True):
            (kernel, stride, pad), last = (each[1] for each in (layer.kernel, layer.stride, layer.padding)), found[-1]
            first = -(-(last.start + pad - kernel + 1) // stride)
            found.append(range(max(0, first), min(width, (last.stop - 1 + pad) // stride + 1)))
        return found

    def _larger(self, x: Tensor, level: int, parts: Sequence[range]) -> Tensor:
        convolution, given, wanted = self.convolutions[level], parts[level + 1], parts[level]
        if len(wanted) == self.sizes[level][1]:
            whole: Tensor = convolution(x, output_size=list(self.sizes[level]))
            return whole
        layer, rows = self.layers[level], range(self.sizes[level][0])
        size = _shifted(rows, layer.padding[0]), _shifted(wanted, layer.padding[1] - given.start * layer.stride[1])
        weight, bias = (convolution.get_parameter(name) for name in ("weight", "bias"))
        function = _transposed_convolution if level else interleaved_convolution
        return function(x, weight, bias, layer.stride, size)


def interleaved_convolution(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, part: tuple[range, range]) -> Tensor:
    """Part of a transposed convolution without padding, as an ordinary one whose channels are interleaved.

    Of a single image with large kernels and few channels it takes half the time of oneDNN's; weights are arranged anew
    at each call.

    Args:
        x: `(B, I, F', T')`.
        weight: `(I, O, *kernel)`.
        bias: `(O,)`.
        stride: of rows and columns.
        part: rows and columns of the output; beyond the last kernel there is only the bias.
    """
    outputs, kernel = weight.shape[1], weight.shape[-2:]
    taps = [-(-length // step) for length, step in zip(kernel, stride, strict=True)]
    rows, columns = (tap * step - length for tap, step, length in zip(taps, stride, kernel, strict=True))
    whole = functional.pad(weight, (0, columns, 0, rows))
    each = rearrange(whole, "I O (J r) (M c) -> (O r c) I J M", r=stride[0], c=stride[1]).flip(-2, -1)
    ends = [-(-one.stop // step) - length for one, step, length in zip(part, stride, x.shape[-2:], strict=True)]
    padded = functional.pad(x, (taps[1] - 1, ends[1], taps[0] - 1, ends[0]))
    found = functional.conv2d(padded, each, bias.repeat_interleave(stride[0] * stride[1]))
    image = rearrange(found, "B (O r c) F T -> B O (F r) (T c)", O=outputs, r=stride[0])
    return _part(image, part)


def _transposed_convolution(x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, part: tuple[range, range]) -> Tensor:
    """As `interleaved_convolution`, by torch."""
    rest = stride[0] - 1, stride[1] - 1
    return _part(functional.conv_transpose2d(x, weight, bias, stride, 0, rest), part)


def _part(image: Tensor, part: tuple[range, range]) -> Tensor:
    rows, columns = part
    return image[..., rows.start : rows.stop, columns.start : columns.stop].contiguous()


def _shifted(part: range, places: int) -> range:
    return range(part.start + places, part.stop + places)


def _columns(maps: Tensor, part: range) -> Tensor:
    return maps[..., part.start : part.stop]


def init_xavier(module: nn.Module) -> None:
    """Initialise one layer with Glorot-uniform weights and zero biases."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(layer: ConvBlock, norm: bool) -> nn.Module:
    return nn.BatchNorm2d(layer.channels) if norm else nn.Identity()
