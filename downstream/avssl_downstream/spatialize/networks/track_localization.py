"""Localization of separated tracks by attention over the cells of an equirectangular frame.

The small variant of `foa360`, trained in minutes on two CPU cores. The fully connected layers of `foa360` must learn
the direction of every cell before any source, and can overfit single clips; here directions are closed form, visual
features alone locate a source class, and audio alone sets its level.
"""

# B sounds, S steps in time, N tracks, P cells of the picture, I channels that come, O channels that leave
# K bands and T columns of a spectrum

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.spatial.ambisonics import gains
from avssl.spatial.energy_map import equirectangular_grid
from avssl_downstream.spatialize.networks.conv_unet import init_xavier
from avssl_downstream.spatialize.networks.foa360 import AudioVisualTrunk, LocalizedTracks, MaskDecoder

STEERING = 4.0
"""By which what arrives from where a kind is counts as this kind's, to begin with: up to a factor of e to the 4."""


class TrackLocalization(nn.Module):
    """Where each kind of thing is: its mean direction over the cells that look like it.

    A kind is shared out among all cells and one more, which is nowhere: what is diffuse, or is not in the picture.

    Args:
        channels: of the picture's maps.
        kinds: that are told apart.
        order: of the weights.
    """

    def __init__(self, channels: int, kinds: int, order: int = 1) -> None:
        super().__init__()
        self.order = order
        self.looks = nn.Conv2d(channels, kinds, 1)
        self.nowhere = nn.Parameter(torch.zeros(kinds))
        self.apply(init_xavier)

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
        """Weights `(B, 3, N)` of Y, Z and X, of length 1 at most, and of the five more of order 2; see `attention`."""
        azimuth, elevation = equirectangular_grid(maps.shape[-2], maps.shape[-1])
        directions_PO = gains(azimuth.flatten(), elevation.flatten(), order=self.order)[:, 1:].to(maps.device)
        shares = self.attention(maps)[..., :-1]
        with torch.autocast(maps.device.type, enabled=False):
            return rearrange(shares @ directions_PO, "B N O -> B O N")


class TrackLocalizationNet(nn.Module):
    """Mono and a 360-degree picture to tracks that add up to the mono sound, and where each comes from.

    From order 1 to order 2 the tracks are those of W, and what arrives from where a kind is counts as this kind's.

    Args:
        trunk: of sound alone.
        streams: channels of the maps of each picture stream.
        kinds: that are told apart; as many tracks.
        separate: whether the sound is separated into tracks; else it is the only one, shared out among the kinds.
        order: of the channels that leave: 1 gives Y, Z and X, 2 the five that follow.
    """

    inputs = 1

    def __init__(
        self, trunk: AudioVisualTrunk, streams: Sequence[int], kinds: int = 16, separate: bool = True, order: int = 1
    ) -> None:
        super().__init__()
        self.trunk, self.order = trunk, order
        self.localization = TrackLocalization(sum(streams), kinds, order)
        self.steering = nn.Parameter(torch.tensor(STEERING)) if separate and order == 2 else None
        self.separation = MaskDecoder(trunk, kinds) if separate else None
        self.shares = None if separate else nn.Linear(trunk.width, kinds)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor], arriving: Tensor | None = None) -> LocalizedTracks:
        """Weights, masks that add up to 1, and no bias; for the arguments see `AudioVisualTrunk.forward`.

        Args:
            magnitude: see there.
            maps: see there.
            arriving: of order 2, along y, z and x from where what is heard arrives, `(B, 3, K, T)` of length 1 at most.
        """
        heard, levels = self.trunk(magnitude, ())
        directions = self.localization(torch.cat(list(maps), 1))
        weights = directions[:, -3 if self.order == 1 else -5 :]
        weights = weights[:, None].expand(-1, heard.shape[1], -1, -1)
        if self.shares is not None:
            weights = weights @ self.shares(heard).float().softmax(-1)[..., None]
        masks = self._masks(heard, levels, directions[:, :3], arriving) if self.separation is not None else None
        return LocalizedTracks(weights, weights.new_zeros(weights.shape[:3]), masks)

    def _masks(self, heard: Tensor, levels: Sequence[Tensor], directions: Tensor, arriving: Tensor | None) -> Tensor:
        assert self.separation is not None
        kinds = self.separation(heard, levels).float()
        if self.steering is not None and arriving is not None:
            with torch.autocast(kinds.device.type, enabled=False):
                kinds = kinds + self.steering * torch.einsum("BCKT,BCN->BNKT", arriving, directions)
        return torch.softmax(kinds, 1)


def channel_masks(found: LocalizedTracks, columns: int, inputs: int = 1) -> Tensor:
    """Tracks and weights as one mask of the mono spectrum for every channel.

    What `foa360.synthesise` does with sounds, done with their spectra: as many inverse transforms as channels instead
    of as many as tracks.

    Args:
        found: whose bias, a constant sound, is left out.
        columns: of the spectrum; weights go from the middle of one step to that of the next along a straight line.
        inputs: channels that tracks are of, the first `N / inputs` of the first one.

    Returns:
        `(B, O, inputs, K, columns)`, float32; K is 1 if nothing was separated.
    """
    flat = rearrange(found.weights.float(), "B S O N -> B (O N) S")
    timed = functional.interpolate(flat, columns, mode="linear")
    timed_BOINT = rearrange(timed, "B (O I N) T -> B O I N T", O=found.weights.shape[2], I=inputs)
    if found.masks is None:
        return timed_BOINT
    masks_BINKT = rearrange(found.masks.float(), "B (I N) K T -> B I N K T", I=inputs)
    with torch.autocast(flat.device.type, enabled=False):
        return torch.einsum("BOINT,BINKT->BOIKT", timed_BOINT, masks_BINKT)
