"""Localization of separated tracks by attention over the cells of an equirectangular frame.

The small variant of `foa360`, trained in minutes on two CPU cores. The fully connected layers of `foa360` must learn
the direction of every cell before any source, and can overfit single clips; here directions are closed form, visual
features alone locate a source class, and audio alone sets its level.
"""

# B windows, S time steps, N tracks, one per source class, P cells of the frame, I input channels, O output channels
# K bands and T frames of a spectrogram

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
"""Initial weight of the direction of arrival in the masks: up to a factor of exp(4) for a class in that direction."""


class TrackLocalization(nn.Module):
    """Ambisonic weights of each source class: mean over the cells of the frame, by attention.

    The attention of a class is distributed over all cells and one further cell, "absent", for diffuse sources and those
    outside the frame.

    Args:
        channels: of the visual feature maps.
        classes: N, source classes.
        order: of the ambisonic weights.
    """

    def __init__(self, channels: int, classes: int, order: int = 1) -> None:
        super().__init__()
        self.order = order
        self.scores = nn.Conv2d(channels, classes, 1)
        self.absent = nn.Parameter(torch.zeros(classes))
        self.apply(init_xavier)

    def attention(self, maps: Tensor) -> Tensor:
        """Attention of each class over cells, the last one being "absent".

        Args:
            maps: visual feature maps of an equirectangular frame, `(B, channels, h, w)`.

        Returns:
            `(B, N, h * w + 1)`, float32.
        """
        scores = self.scores(maps).flatten(2).float()
        absent = self.absent[None, :, None].expand(len(maps), -1, 1)
        return torch.cat([scores, absent], -1).softmax(-1)

    def forward(self, maps: Tensor) -> Tensor:
        """Weights `(B, 3, N)` of Y, Z and X, of length 1 at most, and 5 more for order 2; see `attention`."""
        azimuth, elevation = equirectangular_grid(maps.shape[-2], maps.shape[-1])
        directions_PO = gains(azimuth.flatten(), elevation.flatten(), order=self.order)[:, 1:].to(maps.device)
        shares = self.attention(maps)[..., :-1]
        with torch.autocast(maps.device.type, enabled=False):
            return rearrange(shares @ directions_PO, "B N O -> B O N")


class TrackLocalizationNet(nn.Module):
    """Separates mono audio into one track per source class, and localizes each by a 360-degree frame.

    From first to second order the tracks are those of W, and masks depend on the direction of arrival in each band.

    Args:
        trunk: audio features only.
        streams: channels of each image stream's feature maps.
        classes: N, source classes, one track each.
        separate: separate tracks; otherwise the audio is the only track, distributed over the classes.
        order: of the output channels: 1 for Y, Z and X; 2 for the five that follow.
    """

    inputs = 1

    def __init__(
        self, trunk: AudioVisualTrunk, streams: Sequence[int], classes: int = 16, separate: bool = True, order: int = 1
    ) -> None:
        super().__init__()
        self.trunk, self.order = trunk, order
        self.localization = TrackLocalization(sum(streams), classes, order)
        self.steering = nn.Parameter(torch.tensor(STEERING)) if separate and order == 2 else None
        self.separation = MaskDecoder(trunk, classes) if separate else None
        self.shares = None if separate else nn.Linear(trunk.width, classes)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor], arrival: Tensor | None = None) -> LocalizedTracks:
        """Weights, masks that sum to 1, and a bias of 0.

        Args:
            magnitude: see `AudioVisualTrunk.forward`.
            maps: see `AudioVisualTrunk.forward`.
            arrival: for order 2, direction of arrival along y, z and x, `(B, 3, K, T)`, of length 1 at most.
        """
        maps, tower = self.trunk.split(maps)
        audio, levels = self.trunk(magnitude, tower)
        directions = self.localization(torch.cat(list(maps), 1))
        weights = directions[:, -3 if self.order == 1 else -5 :]
        weights = weights[:, None].expand(-1, audio.shape[1], -1, -1)
        if self.shares is not None:
            weights = weights @ self.shares(audio).float().softmax(-1)[..., None]
        masks = self._masks(audio, levels, directions[:, :3], arrival) if self.separation is not None else None
        return LocalizedTracks(weights, weights.new_zeros(weights.shape[:3]), masks)

    def _masks(self, audio: Tensor, levels: Sequence[Tensor], directions: Tensor, arrival: Tensor | None) -> Tensor:
        assert self.separation is not None
        logits = self.separation(audio, levels).float()
        if self.steering is not None and arrival is not None:
            with torch.autocast(logits.device.type, enabled=False):
                logits = logits + self.steering * torch.einsum("BCKT,BCN->BNKT", arrival, directions)
        return torch.softmax(logits, 1)


def channel_masks(tracks: LocalizedTracks, columns: int, inputs: int = 1) -> Tensor:
    """Masks and weights of all tracks as one mask of the mono spectrogram for every output channel.

    `foa360.mix_tracks` in the time-frequency domain: one inverse transform for each output channel instead of one for
    each track.

    Args:
        tracks: their bias, a constant signal, is left out.
        columns: T; weights are interpolated linearly between the middles of time steps.
        inputs: I, channels that are separated; the first `N / I` tracks belong to the first one.

    Returns:
        `(B, O, I, K, T)`, float32; K is 1 without separation.
    """
    flat = rearrange(tracks.weights.float(), "B S O N -> B (O N) S")
    timed = functional.interpolate(flat, columns, mode="linear")
    timed_BOINT = rearrange(timed, "B (O I N) T -> B O I N T", O=tracks.weights.shape[2], I=inputs)
    if tracks.masks is None:
        return timed_BOINT
    masks_BINKT = rearrange(tracks.masks.float(), "B (I N) K T -> B I N K T", I=inputs)
    with torch.autocast(flat.device.type, enabled=False):
        return torch.einsum("BOINT,BINKT->BOIKT", timed_BOINT, masks_BINKT)
