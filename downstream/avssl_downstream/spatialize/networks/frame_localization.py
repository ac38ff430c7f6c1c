"""Localization of separated tracks in the frames of a camera: attention over cells, nearness by apparent size.

The network `pointing` of `mono_to_3d`, after that of `foa360` (`track_localization`). A U-Net must learn kinds of
sources times places as a product; here audio alone separates kinds, frames alone locate them, and the gains of a cell
are closed form but for a few numbers.
"""

# B windows, S frame times, N tracks, one per kind of source, P cells of a frame
# F network bands and T frames of a spectrogram; places are gains of Y, Z and X

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from avssl_downstream.spatialize.networks.conv_unet import SMALL, init_xavier
from avssl_downstream.spatialize.networks.foa360 import AudioVisualTrunk, LocalizedTracks, MaskDecoder

REACH = 0.5
"""Initial gain at the edges of a frame, and of the nearest sources."""
OFFSET = 2.0
"""Cells from the middle of a cell to the middle of an object that it is part of, at most."""
ABSENT = 2.0
"""Initial logit of "absent": as much attention as exp(2) cells."""
UNSEEN = 0.05
"""Share of a kind's presence that remains where none of it is seen: sources may be behind the viewer."""


class PlacedTracks(NamedTuple):
    """Where each track may be, and how much of it is there."""

    attention: Tensor
    """`(B, S, N, P + 1)`, sums to 1; the last one is "absent"."""
    places: Tensor
    """`(B, S, N, P + 1, 3)`."""

    @property
    def gains(self) -> Tensor:
        """Mean gains of each track, `(B, S, 3, N)`."""
        return torch.einsum("BSNP,BSNPO->BSON", self.attention, self.places)

    @property
    def presence(self) -> Tensor:
        """Share of each track that is in the frames, `(B, N)`."""
        return 1 - self.attention[..., -1].mean(1)


class FrameLocalization(nn.Module):
    """Places of each track in the frames of a camera that looks to the front.

    A cell's gains in Y and Z are its position in the frame, corrected by up to two cells towards the middle of the
    object that it is part of; its gain in X is the nearness of the object, from the features of the cell: larger
    objects are nearer. A track that is absent from the frames has gains of its own, such as those of sources behind
    the viewer.

    Args:
        channels: of the visual feature maps.
        tracks: N.
    """

    def __init__(self, channels: int, tracks: int) -> None:
        super().__init__()
        self.scores = nn.Conv2d(channels, tracks, 1)
        self.nearness = nn.Conv2d(channels, tracks, 1)
        self.offsets = nn.Conv2d(channels, 2, 1)
        self.absent = nn.Parameter(torch.full((tracks,), ABSENT))
        self.apply(init_xavier)
        self.reach = nn.Parameter(torch.full((3,), REACH))
        self.unseen = nn.Parameter(torch.zeros(tracks, 3))

    def forward(self, maps: Tensor) -> PlacedTracks:
        """Attention and places, float32, of visual feature maps `(B, channels, S, h, w)`."""
        windows, (rows, columns) = len(maps), maps.shape[-2:]
        flat = rearrange(maps, "B C S h w -> (B S) C h w")
        scores, nearness, offsets = (
            each(flat).float().flatten(2) for each in (self.scores, self.nearness, self.offsets)
        )
        absent = self.absent[None, :, None].expand(len(flat), -1, 1)
        attention = torch.cat([scores, absent], -1).softmax(-1)
        # From -1 to 1, to the left and upwards, as Y and Z.
        cells = OFFSET * offsets.tanh() * offsets.new_tensor([[2 / columns], [2 / rows]])
        left, up = (cells + _middles(rows, columns).to(cells)).unbind(1)
        sides = torch.stack([left, up], -1)[:, None].expand(-1, scores.shape[1], -1, -1)
        places = self.reach * torch.cat([sides, nearness.sigmoid()[..., None]], -1)
        unseen = self.unseen[None, :, None].expand(len(flat), -1, -1, -1)
        whole = torch.cat([places, unseen], 2)
        return PlacedTracks(*(each.reshape(windows, -1, *each.shape[1:]) for each in (attention, whole)))


class PointingNet(nn.Module):
    """Separates mono audio into one track per kind of source, and places each by the frames of a camera.

    Args:
        size: bands F and frames T of the spectrograms.
        channels: of the visual feature maps.
        tracks: N.
        units: of the audio features.
        gate: raise the masks of kinds that are in the frames.
        tower: channels of the features of an audio tower; 0: none.
    """

    inputs = 1

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        tracks: int = 16,
        units: int = 64,
        gate: bool = True,
        tower: int = 0,
    ) -> None:
        super().__init__()
        self.gate = gate
        self.trunk = AudioVisualTrunk(size, (), 1, SMALL, units, norm=True, tower=tower)
        self.separation = MaskDecoder(self.trunk, tracks)
        self.localization = FrameLocalization(channels, tracks)

    def forward(
        self, magnitude: Tensor, maps: Tensor, tower: Tensor | None = None
    ) -> tuple[LocalizedTracks, PlacedTracks]:
        """Masks that sum to 1, weights per frame time, a bias of 0; and the places that the weights are means of.

        Args:
            magnitude: of the spectrograms, `(B, 1, F, T)`.
            maps: visual feature maps, `(B, channels, S, h, w)`.
            tower: features of an audio tower, see `AudioBranch.forward`.
        """
        audio, levels = self.trunk(magnitude, () if tower is None else (tower,))
        placed: PlacedTracks = self.localization(maps)
        logits = self.separation(audio, levels).float()
        if self.gate:
            logits = logits + (placed.presence + UNSEEN).log()[..., None, None]
        weights = placed.gains
        return LocalizedTracks(weights, weights.new_zeros(weights.shape[:3]), logits.softmax(1)), placed


def place_likelihood(placed: PlacedTracks, shares: Tensor, places: Tensor, width: float, unseen: float) -> Tensor:
    """Log density of the place of each band, a mixture over tracks and cells of normal densities.

    The mean over all cells of an attention that is even points nowhere, so that masks and attention have next to no
    gradient from a loss of the audio at first; a density has.

    Args:
        placed: of the windows.
        shares: of each track in each band at each frame time, sum to 1, `(B, N, F, S)`.
        places: of the bands, `(B, 3, F, S)`.
        width: standard deviation about cells, in gains.
        unseen: the same about the gains of absent tracks.

    Returns:
        `(B, F, S)`.
    """
    widths = placed.places.new_full(placed.places.shape[-2:-1], width)
    widths[-1] = unseen
    bands = rearrange(places, "B O F S -> B S O F")
    squares = placed.places.square().sum(-1)[..., None] + bands.square().sum(2)[:, :, None, None]
    distances = squares - 2 * torch.einsum("BSNPO,BSOF->BSNPF", placed.places, bands)
    # The constant is that of a normal density in three dimensions.
    density = -distances / (2 * widths[:, None].square()) - 3 * (widths * math.sqrt(2 * math.pi)).log()[:, None]
    track_BSNF = torch.logsumexp(density + placed.attention.clamp(min=1e-9).log()[..., None], 3)
    shared = rearrange(shares, "B N F S -> B S N F").clamp(min=1e-9).log()
    return rearrange(torch.logsumexp(track_BSNF + shared, 2), "B S F -> B F S")


def _middles(rows: int, columns: int) -> Tensor:
    """Middles of the cells of a frame, to the left and upwards from -1 to 1, `(2, rows * columns)`."""
    left, up = (1 - 2 * (torch.arange(size) + 0.5) / size for size in (columns, rows))
    return torch.stack([left.repeat(rows), up.repeat_interleave(columns)])
