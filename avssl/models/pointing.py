"""Tracks that point into a panorama: each is a kind of thing, which is looked for in the picture's cells.

The small form of `avssl.models.foa360`, for minutes on two CPU cores. There, fully connected layers have to learn where
every cell lies before they learn what sounds, and can learn clips by heart; here directions are closed form, the
picture alone says where a kind is, and sound alone says how much of it there is.
"""

# B sounds, S steps in time, N tracks, P cells of the picture, O channels that leave
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
    """Where each kind of thing is: its mean direction over the cells that look like it.

    A kind is shared out among all cells and one more, which is nowhere: what is diffuse, or is not in the picture.

    Args:
        channels: of the picture's maps.
        kinds: that are told apart.
    """

    def __init__(self, channels: int, kinds: int) -> None:
        super().__init__()
        self.looks = nn.Conv2d(channels, kinds, 1)
        self.nowhere = nn.Parameter(torch.zeros(kinds))
        self.apply(xavier)

    def attention(self, maps: Tensor) -> Tensor:
        """Shares of the cells in every kind, the last one nowhere.

        Args:
            maps: of an equirectangular picture, `(B, channels, h, w)`.

        Returns:
            `(B, N, h * w + 1)`, float32.
        """
        likeness = self.looks(maps).flatten(2).float()
        nowhere = self.nowhere[None, :, None].expand(len(maps), -1, 1)
        return torch.cat([likeness, nowhere], -1).softmax(-1)

    def forward(self, maps: Tensor) -> Tensor:
        """Weights `(B, 3, N)` of Y, Z and X, of length 1 at most; see `attention`."""
        azimuth, elevation = equirectangular_grid(maps.shape[-2], maps.shape[-1])
        directions_PO = gains(azimuth.flatten(), elevation.flatten())[:, 1:].to(maps.device)
        shares = self.attention(maps)[..., :-1]
        with torch.autocast(maps.device.type, enabled=False):
            return rearrange(shares @ directions_PO, "B N O -> B O N")


class PointingNet(nn.Module):
    """Mono and a 360-degree picture to tracks that add up to the mono sound, and where each comes from.

    Args:
        trunk: of sound alone.
        streams: channels of the maps of each picture stream.
        kinds: that are told apart; as many tracks.
        separate: whether the sound is separated into tracks; else it is the only one, shared out among the kinds.
    """

    def __init__(self, trunk: Trunk, streams: Sequence[int], kinds: int = 16, separate: bool = True) -> None:
        super().__init__()
        self.trunk = trunk
        self.localisation = Pointing(sum(streams), kinds)
        self.separation = Masks(trunk, kinds) if separate else None
        self.shares = None if separate else nn.Linear(trunk.width, kinds)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor]) -> Localised:
        """Weights, masks that add up to 1, and no bias; for the arguments see `Trunk.forward`."""
        heard, levels = self.trunk(magnitude, ())
        weights = self.localisation(torch.cat(list(maps), 1))[:, None].expand(-1, heard.shape[1], -1, -1)
        if self.shares is not None:
            weights = weights @ self.shares(heard).float().softmax(-1)[..., None]
        masks = self.separation(heard, levels).float().softmax(1) if self.separation is not None else None
        return Localised(weights, weights.new_zeros(weights.shape[:3]), masks)


def channel_masks(found: Localised, columns: int) -> Tensor:
    """Tracks and weights as one mask of the mono spectrum for every channel.

    What `foa360.synthesise` does with sounds, done with their spectra: as many inverse transforms as channels instead
    of as many as tracks.

    Args:
        found: whose bias, a constant sound, is left out.
        columns: of the spectrum; weights go from the middle of one step to that of the next along a straight line.

    Returns:
        `(B, O, K, columns)`, float32; K is 1 if nothing was separated.
    """
    flat = rearrange(found.weights.float(), "B S O N -> B (O N) S")
    timed = functional.interpolate(flat, columns, mode="linear")
    timed_BONT = rearrange(timed, "B (O N) T -> B O N T", O=found.weights.shape[2])
    if found.masks is None:
        return timed_BONT
    with torch.autocast(flat.device.type, enabled=False):
        return torch.einsum("BONT,BNKT->BOKT", timed_BONT, found.masks.float())
