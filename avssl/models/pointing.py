"""Tracks that point into a panorama: sound is compared with every cell of the picture, whose direction is known.

The small form of `avssl.models.foa360`, for minutes on two CPU cores: its fully connected layers have to learn where
every cell lies before they learn what sounds; here the first is closed form and only the second is learnt.
"""

# B sounds, S steps in time, N tracks, P cells of the picture, D numbers that are compared, O channels that leave
# K bands and T columns of a spectrum

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.foa360 import Localised, Masks, Trunk
from avssl.models.strided import xavier
from avssl.spatial.ambisonics import gains
from avssl.spatial.energy import equirectangular_grid


class Pointing(nn.Module):
    """How much of each track belongs into every channel: its mean direction over the cells that look as it sounds.

    A track is shared out among all cells and one more, which is nowhere: what is diffuse, or belongs to nothing seen.

    Args:
        heard: numbers of a sound at one step.
        channels: of the picture's maps.
        tracks: that there are.
        width: numbers that are compared.
    """

    def __init__(self, heard: int, channels: int, tracks: int, width: int = 64) -> None:
        super().__init__()
        self.tracks = tracks
        self.ask = nn.Sequential(nn.Linear(heard, heard), nn.ReLU(), nn.Linear(heard, tracks * width))
        self.nowhere = nn.Linear(heard, tracks)
        self.answer = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))
        self.apply(xavier)

    def attention(self, heard: Tensor, maps: Tensor) -> Tensor:
        """Shares of the cells in every track, the last one nowhere.

        Args:
            heard: `(B, S, heard)`.
            maps: of an equirectangular picture, `(B, channels, h, w)`.

        Returns:
            `(B, S, N, h * w + 1)`.
        """
        wanted = rearrange(self.ask(heard), "B S (N D) -> B S N D", N=self.tracks)
        likeness = torch.einsum("BSND,BDP->BSNP", wanted, self.answer(maps).flatten(2)) / wanted.shape[-1] ** 0.5
        return torch.cat([likeness, self.nowhere(heard)[..., None]], -1).softmax(-1)

    def forward(self, heard: Tensor, maps: Tensor) -> Tensor:
        """Weights `(B, S, 3, N)` of Y, Z and X; see `attention`."""
        azimuth, elevation = equirectangular_grid(maps.shape[-2], maps.shape[-1])
        directions = gains(azimuth.flatten(), elevation.flatten())[:, 1:].to(maps)
        return torch.einsum("BSNP,PO->BSON", self.attention(heard, maps)[..., :-1], directions)


class PointingNet(nn.Module):
    """Mono and a 360-degree picture to tracks that add up to the mono sound, and where each comes from.

    Args:
        trunk: of sound alone.
        streams: channels of the maps of each picture stream.
        tracks: that the sound is separated into.
        separate: whether it is; else the mono sound is the only track.
        width: numbers that are compared.
    """

    def __init__(
        self, trunk: Trunk, streams: Sequence[int], tracks: int = 8, separate: bool = True, width: int = 64
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.localisation = Pointing(trunk.width, sum(streams), tracks if separate else 1, width)
        self.separation = Masks(trunk, tracks) if separate else None

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> Localised:
        """Weights, masks that add up to 1, and no bias; for the arguments see `Trunk.forward`."""
        heard, levels = self.trunk(magnitude, ())
        weights = self.localisation(heard, torch.cat(list(maps), 1))
        masks = self.separation(heard, levels).softmax(1) if self.separation else None
        return Localised(weights, weights.new_zeros(weights.shape[:3]), masks)


def channel_masks(found: Localised, columns: int) -> Tensor:
    """Tracks and weights as one mask of the mono spectrum for every channel.

    What `foa360.synthesise` does with sounds, done with their spectra: as many inverse transforms as channels instead
    of as many as tracks.

    Args:
        found: whose bias, a constant sound, is left out.
        columns: of the spectrum; weights go from the middle of one step to that of the next along a straight line.

    Returns:
        `(B, O, K, columns)`; K is 1 if nothing was separated.
    """
    flat = rearrange(found.weights.float(), "B S O N -> B (O N) S")
    timed = functional.interpolate(flat, columns, mode="linear")
    timed_BONT = rearrange(timed, "B (O N) T -> B O N T", O=found.weights.shape[2])
    if found.masks is None:
        return timed_BONT
    return torch.einsum("BONT,BNKT->BOKT", timed_BONT, found.masks.float())
