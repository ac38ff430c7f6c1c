"""Networks of Lu et al. (2019): a vision-conditioned U-Net that predicts left/right masks, and a discriminator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.networks.audio_branch import resample_steps
from avssl_downstream.spatialize.networks.conv_unet import ConvBlock, Decoder, Encoder, init_xavier

# B windows, C channels of visual feature maps, T' frame times, D dimensions of a frame embedding
# K frequency bands and T frames of a spectrogram

CELL_CHANNELS = 8
"""Channels of one cell of the visual feature maps, as in 2.5D Visual Sound; the paper does not state the size."""
_FREQUENCY = ((32, 16, 8), (64, 7, 4), (128, 5, 2), (256, 5, 1), (512, 5, 1))
FULL = tuple(ConvBlock(channels, (kernel, 3), (stride, 1), (0, 1)) for channels, kernel, stride in _FREQUENCY)
"""Layers of Morgado et al. along frequency, without stride along time: embeddings have the rate of the spectrogram."""
SMALL = tuple(ConvBlock(channels, (4, 3), (2, 1), (1, 1)) for channels in (16, 32, 64, 128))
"""For two CPU cores: four halvings, from 16 bands upwards."""


class FrameEmbedding(nn.Module):
    """One vector per frame time from the feature maps of all image streams, cell by cell.

    Args:
        streams: channels C of each stream's feature maps: RGB, flow.
        grid: rows and columns to which feature maps are pooled.
    """

    def __init__(self, streams: Sequence[int], grid: tuple[int, int] = (7, 7)) -> None:
        super().__init__()
        self.grid, self.width = grid, CELL_CHANNELS * grid[0] * grid[1] * len(streams)
        self.cells = nn.ModuleList(nn.Conv3d(channels, CELL_CHANNELS, 1) for channels in streams)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """One `(B, C, T', h, w)` per stream, with equal T', to `(B, D, T')`."""
        found = []
        for cell, each in zip(self.cells, maps, strict=True):
            cells = functional.relu(cell(functional.adaptive_avg_pool3d(each, (each.shape[2], *self.grid))))
            found.append(cells.movedim(2, -1).flatten(1, 3))
        return torch.cat(found, 1)


class AsnNet(nn.Module):
    """U-Net from log-frequency magnitudes to masks, conditioned on frame embeddings at the start of its decoder.

    Args:
        size: bands K and frames T of the spectrograms; 1025 bands in the paper.
        streams: channels of each image stream's feature maps; none: audio only.
        outputs: masks: 2 ratio masks, left and right, or 4 planes of complex ones.
        layers: of encoder and decoder.
        grid: see `FrameEmbedding`.
        norm: batch norm in both; the paper has none.
        audio: channels of the features of an audio tower; the paper has none.
    """

    def __init__(
        self,
        size: tuple[int, int],
        streams: Sequence[int] = (512, 512),
        outputs: int = 2,
        layers: Sequence[ConvBlock] = FULL,
        grid: tuple[int, int] = (7, 7),
        norm: bool = False,
        audio: int = 0,
    ) -> None:
        super().__init__()
        self.frame_embedding = FrameEmbedding(streams, grid)
        self.encoder = Encoder(1, size, layers, norm)
        self.decoder = Decoder(self.encoder, self.frame_embedding.width + audio, outputs)

    def embed_frames(self, maps: Sequence[Tensor]) -> Tensor:
        """Frame embeddings `(B, D, T')`; see `FrameEmbedding.forward`."""
        found: Tensor = self.frame_embedding(maps)
        return found

    def forward(self, magnitude: Tensor, embedding: Tensor | None = None, audio: Tensor | None = None) -> Tensor:
        """Masks of the mix.

        Args:
            magnitude: of the mix, `(B, 1, K, T)`.
            embedding: from `embed_frames`, `(B, D, T')`, resampled to T by nearest neighbour; None: audio only.
            audio: features of an audio tower, see `AudioBranch.forward`.

        Returns:
            `(B, outputs, K, T)` in 0..1; planes of complex masks are twice this, minus 1.
        """
        levels = self.encoder(magnitude)
        rows, columns = levels[-1].shape[-2:]
        joined = levels[-1].new_empty(len(magnitude), 0, rows, columns)
        if embedding is not None:
            joined = _resampled(embedding, columns)[:, :, None].expand(-1, -1, rows, -1)
        if audio is not None:
            joined = torch.cat([joined, resample_steps(audio, columns)[:, :, None].expand(-1, -1, rows, -1)], 1)
        masks: Tensor = self.decoder(levels, joined)
        return masks.sigmoid()


class ChannelOrderDiscriminator(nn.Module):
    """Classifies whether left and right are in the order that the frames show; three layers, averaged over time.

    Args:
        embedding: D, `AsnNet.frame_embedding.width`.
        bands: K, of each channel's spectrogram.
        units: of the two hidden layers.
    """

    def __init__(self, embedding: int, bands: int, units: int = 512) -> None:
        super().__init__()
        sizes = (embedding + 2 * bands, units, units)
        layers = [nn.Conv1d(before, after, 1) for before, after in zip(sizes, (units, units, 1), strict=True)]
        self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.apply(init_xavier)

    def forward(self, embedding: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Logit of the true order.

        Args:
            embedding: from `AsnNet.embed_frames`, `(B, D, T')`.
            left: magnitudes, `(B, K, T)`.
            right: magnitudes, `(B, K, T)`.

        Returns:
            `(B,)`; the target is 1 for the true order, 0 for exchanged channels.
        """
        logits: Tensor = self.layers(torch.cat([_resampled(embedding, left.shape[-1]), left, right], 1))
        return logits.mean((1, 2))


def _resampled(embedding: Tensor, columns: int) -> Tensor:
    """Embeddings `(B, D, T')` at another number of times: the nearest of each, or the mean of several."""
    if columns < embedding.shape[-1]:
        return functional.adaptive_avg_pool1d(embedding, columns)
    return functional.interpolate(embedding, columns, mode="nearest-exact")
