"""The networks of Lu et al. (2019): a U-Net that asks pictures for left and right, and a judge of their order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.conv_unet import ConvBlock, Decoder, Encoder, init_xavier

# B sounds, C channels of the picture's maps, T' instants of pictures, D numbers of one instant, K bands, T windows

CELL = 8
"""Numbers of a place in the picture, as in 2.5D Visual Sound; the paper flattens maps without a word of their size."""
_FREQUENCY = ((32, 16, 8), (64, 7, 4), (128, 5, 2), (256, 5, 1), (512, 5, 1))
FULL = tuple(ConvBlock(channels, (kernel, 3), (stride, 1), (0, 1)) for channels, kernel, stride in _FREQUENCY)
"""Morgado's layers along frequency; along time every window stays, as pictures are brought to the windows' rate."""
SMALL = tuple(ConvBlock(channels, (4, 3), (2, 1), (1, 1)) for channels in (16, 32, 64, 128))
"""For two CPU cores: four halvings of 16 bands upwards."""


class FrameEmbedding(nn.Module):
    """Maps of all picture streams as one vector an instant, which knows where in the picture a thing is.

    Args:
        streams: channels of the maps of each stream: colours, flow.
        grid: rows and columns that the maps are averaged into if they have others.
    """

    def __init__(self, streams: Sequence[int], grid: tuple[int, int] = (7, 7)) -> None:
        super().__init__()
        self.grid, self.width = grid, CELL * grid[0] * grid[1] * len(streams)
        self.cells = nn.ModuleList(nn.Conv3d(channels, CELL, 1) for channels in streams)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """One `(B, C, T', h, w)` a stream, as many instants in each, to `(B, D, T')`."""
        found = []
        for cell, each in zip(self.cells, maps, strict=True):
            places = functional.relu(cell(functional.adaptive_avg_pool3d(each, (each.shape[2], *self.grid))))
            found.append(places.movedim(2, -1).flatten(1, 3))
        return torch.cat(found, 1)


class AsnNet(nn.Module):
    """Magnitudes on a logarithmic axis of frequency to masks, with the pictures at the start of the decoder.

    Args:
        size: bands and windows of the spectra; 1025 bands in the paper.
        streams: channels of the maps of each picture stream; none: sound alone.
        outputs: masks: 2 ratio masks of left and right, or 4 planes of complex ones.
        layers: of encoder and decoder.
        grid: see `FrameEmbedding`.
        norm: batch norm in both; the paper has none.
    """

    def __init__(
        self,
        size: tuple[int, int],
        streams: Sequence[int] = (512, 512),
        outputs: int = 2,
        layers: Sequence[ConvBlock] = FULL,
        grid: tuple[int, int] = (7, 7),
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.frame_embedding = FrameEmbedding(streams, grid)
        self.encoder = Encoder(1, size, layers, norm)
        self.decoder = Decoder(self.encoder, self.frame_embedding.width, outputs)

    def embed_frames(self, maps: Sequence[Tensor]) -> Tensor:
        """What is seen at every instant, `(B, D, T')`; see `FrameEmbedding.forward`."""
        found: Tensor = self.frame_embedding(maps)
        return found

    def forward(self, magnitude: Tensor, seen: Tensor | None = None) -> Tensor:
        """Masks of the mix.

        Args:
            magnitude: of the mix, `(B, 1, K, T)`.
            seen: from `embed_frames`, `(B, D, T')`; instants are repeated to the windows they are nearest to.

        Returns:
            `(B, outputs, K, T)` in 0..1; planes of complex masks are twice this, less 1.
        """
        levels = self.encoder(magnitude)
        rows, columns = levels[-1].shape[-2:]
        joined = levels[-1].new_empty(len(magnitude), 0, rows, columns)
        if seen is not None:
            joined = _at(seen, columns)[:, :, None].expand(-1, -1, rows, -1)
        masks: Tensor = self.decoder(levels, joined)
        return masks.sigmoid()


class ChannelOrderDiscriminator(nn.Module):
    """Are left and right where the pictures say? Three layers at every window; what they say is averaged over time.

    Args:
        seen: numbers of one instant, `AsnNet.instants.width`.
        bands: of each ear's spectrum.
        units: of two hidden layers.
    """

    def __init__(self, seen: int, bands: int, units: int = 512) -> None:
        super().__init__()
        sizes = (seen + 2 * bands, units, units)
        layers = [nn.Conv1d(before, after, 1) for before, after in zip(sizes, (units, units, 1), strict=True)]
        self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.apply(init_xavier)

    def forward(self, seen: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """How much more likely it is than not that the order is the true one.

        Args:
            seen: from `AsnNet.look`, `(B, D, T')`.
            left: magnitudes, `(B, K, T)`.
            right: likewise.

        Returns:
            `(B,)`, before the sigmoid; 1 stands for the true order, 0 for exchanged ears.
        """
        found: Tensor = self.layers(torch.cat([_at(seen, left.shape[-1]), left, right], 1))
        return found.mean((1, 2))


def _at(seen: Tensor, columns: int) -> Tensor:
    """Instants `(B, D, T')` at so many columns: the nearest of each, or the mean of several."""
    if columns < seen.shape[-1]:
        return functional.adaptive_avg_pool1d(seen, columns)
    return functional.interpolate(seen, columns, mode="nearest-exact")
