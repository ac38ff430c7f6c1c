"""Localization of separated tracks by attention over the cells of an equirectangular frame.

The network `pointing` of `foa360`, trained in minutes on two CPU cores. The fully connected layers of the published one
must learn the direction of every cell before any source, and can overfit single clips; here directions are closed form,
visual features locate a source class (with `pulses`, those of its cells that change with the audio), and audio alone
sets its level.
"""

# B windows, S time steps, N tracks, one per source class, P cells of the frame, I input channels, O output channels
# K bands and T frames of a spectrogram

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import gains
from avssl.spatial.energy_map import equirectangular_grid
from avssl_downstream.spatialize.networks.audio_branch import resample_steps
from avssl_downstream.spatialize.networks.conv_unet import init_xavier
from avssl_downstream.spatialize.networks.foa360 import AudioVisualTrunk, LocalizedTracks, MaskDecoder
from avssl_downstream.spatialize.networks.pulse_scores import PulseScores

STEERING = 4.0
"""Initial weight of the direction of arrival in the masks: up to a factor of exp(4) for a class in that direction."""
CLOSED = 1e-3
"""Factor on the mask of a class that is nowhere in the frame, before masks are normalised to a sum of 1."""


class TrackLocalization(nn.Module):
    """Ambisonic weights of each source class: mean over the cells of the frame, by attention.

    The attention of a class is distributed over all cells and one further cell, "absent", for diffuse sources and those
    outside the frame.

    Args:
        channels: of the visual feature maps.
        classes: N, source classes.
        order: of the ambisonic weights.
        solid_angle: attention starts from the solid angle of each cell; otherwise all cells are alike, though those
            near the poles cover less of the sphere.
        room: the first class is the room: it is nowhere.
        prior: a direction prior is added to the scores of each class, with a scale that is learnt, 1 at the start.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        order: int = 1,
        solid_angle: bool = False,
        room: bool = False,
        prior: bool = False,
    ) -> None:
        super().__init__()
        self.order, self.solid_angle, self.room = order, solid_angle, room
        self.scores = nn.Conv2d(channels, classes, 1)
        self.absent = nn.Parameter(torch.zeros(classes))
        self.apply(init_xavier)
        self.prior_scale = nn.Parameter(torch.ones(classes)) if prior else None

    def attention(self, maps: Tensor, further: Tensor | None = None, prior: Tensor | None = None) -> Tensor:
        """Attention of each class over cells, the last one being "absent".

        Args:
            maps: visual feature maps of an equirectangular frame, `(B, channels, h, w)`.
            further: scores that are added to those of the maps, `(B, N, h * w)`.
            prior: logits of a direction prior at each time step, `(B, S, h, w)`, see `scaled_log_density`.

        Returns:
            `(B, N, h * w + 1)`, float32; with a prior `(B, S, N, h * w + 1)`.
        """
        scores = self.scores(maps).flatten(2).float()
        scores = scores if further is None else scores + further
        if self.solid_angle:
            share = cell_solid_angles(*maps.shape[-2:]).to(scores).flatten()
            scores = scores + (share / share.mean()).log()
        if prior is not None and self.prior_scale is not None:
            scores = scores[:, None] + scaled_log_density(prior, self.prior_scale)
        absent = self.absent[:, None].expand(*scores.shape[:-1], 1)
        if self.room:
            nowhere = torch.full_like(scores[..., :1, :], -torch.inf)
            scores = torch.cat([nowhere, scores[..., 1:, :]], -2)
        return torch.cat([scores, absent], -1).softmax(-1)

    def forward(self, maps: Tensor) -> Tensor:
        """Weights `(B, 3, N)` of Y, Z and X, of length 1 at most, and 5 more for order 2; see `attention`."""
        return self.directions(self.attention(maps), (maps.shape[-2], maps.shape[-1]))

    def directions(self, attention: Tensor, size: tuple[int, int]) -> Tensor:
        """See `forward`.

        Args:
            attention: see `attention`.
            size: rows and columns of the cells.
        """
        directions_PO = cell_gains(size, self.order).to(attention.device)
        with torch.autocast(attention.device.type, enabled=False):
            return rearrange(attention[..., :-1] @ directions_PO, "... N O -> ... O N")


def scaled_log_density(prior: Tensor, scale: Tensor) -> Tensor:
    """Log density of each class over the sphere, relative to the uniform one.

    Its mean density is 1 for any scale, so that a prior which is even leaves attention as it is, "absent" too.

    Args:
        prior: logits of the cells at each time step, `(B, S, h, w)`.
        scale: of the logits, `(N,)`.

    Returns:
        `(B, S, N, h * w)`, float32.
    """
    share = cell_solid_angles(*prior.shape[-2:]).to(prior).flatten()
    scaled = prior.float().flatten(2)[:, :, None] * scale[:, None]
    return scaled - (scaled + (share / share.sum()).log()).logsumexp(-1, keepdim=True)


def cell_gains(size: tuple[int, int], order: int = 1) -> Tensor:
    """Gains of plane waves from the centres of all cells in the channels after W, `(P, O)`.

    Args:
        size: rows and columns of the cells.
        order: ambisonic.
    """
    azimuth, elevation = equirectangular_grid(*size)
    return gains(azimuth.flatten(), elevation.flatten(), order=order)[:, 1:]


@dataclass(frozen=True)
class PointingParts:
    """Parts of `TrackLocalizationNet` beside separation and attention."""

    gate: bool = False
    """Multiply the mask of a class by the share of its attention that is in the frame; the first class is the room,
    which is nowhere and always open."""
    solid_angle: bool = False
    """See `TrackLocalization`."""
    pulses: int = 0
    """Frames in which each cell is compared with the audio over time; 0: none."""
    pulse_step: float = 1.0
    """Frames of the spectrogram between two of them."""
    prior: bool = False
    """See `TrackLocalization`."""


class TrackLocalizationNet(nn.Module):
    """Separates mono audio into one track per source class, and localizes each by a 360-degree frame.

    From first to second order the tracks are those of W, and masks depend on the direction of arrival in each band.

    Args:
        trunk: audio features only.
        streams: channels of each image stream's feature maps; with `pulses` the last one is of courses of cells. Not of
            the direction prior, which comes after them.
        classes: N, source classes, one track each.
        separate: separate tracks; otherwise the audio is the only track, distributed over the classes.
        order: of the output channels: 1 for Y, Z and X; 2 for the five that follow.
        parts: further parts; None: none.
    """

    inputs = 1

    def __init__(
        self,
        trunk: AudioVisualTrunk,
        streams: Sequence[int],
        classes: int = 16,
        separate: bool = True,
        order: int = 1,
        parts: PointingParts | None = None,
    ) -> None:
        super().__init__()
        parts = parts or PointingParts()
        self.trunk, self.order, self.gate = trunk, order, parts.gate
        size = trunk.encoder.sizes[0]
        self.pulses = PulseScores(streams[-1], parts.pulses, classes, size, parts.pulse_step) if parts.pulses else None
        seen = sum(streams[:-1] if parts.pulses else streams)
        self.prior = parts.prior
        self.localization = TrackLocalization(seen, classes, order, parts.solid_angle, parts.gate, parts.prior)
        self.steering = nn.Parameter(torch.tensor(STEERING)) if separate and order == 2 else None
        self.separation = MaskDecoder(trunk, classes) if separate else None
        self.shares = None if separate else nn.Linear(trunk.width, classes)

    def forward(self, magnitude: Tensor, maps: Sequence[Tensor], arrival: Tensor | None = None) -> LocalizedTracks:
        """Weights, masks that sum to 1, a bias of 0, and attention.

        Args:
            magnitude: see `AudioVisualTrunk.forward`.
            maps: see `AudioVisualTrunk.forward`; with a direction prior its logits `(B, S', h, w)`, at time steps of
                its own, after those of the image streams.
            arrival: for order 2, direction of arrival along y, z and x, `(B, 3, K, T)`, of length 1 at most.
        """
        maps, tower = self.trunk.split(maps)
        audio, levels = self.trunk(magnitude, tower)
        maps, prior = self._prior(maps, audio.shape[1])
        further = None if self.pulses is None else self.pulses(magnitude, maps[-1])
        seen = torch.cat(list(maps if self.pulses is None else maps[:-1]), 1)
        attention = self.localization.attention(seen, further, prior)
        directions = self.localization.directions(attention, (seen.shape[-2], seen.shape[-1]))
        weights = directions[..., -3 if self.order == 1 else -5 :, :]
        weights = weights if attention.ndim == 4 else weights[:, None].expand(-1, audio.shape[1], -1, -1)
        present = self._present(attention)
        if self.shares is not None:
            shares = (self.shares(audio).float() + present[:, None]).softmax(-1)
            weights = weights @ shares[..., None]
            attention = (shares[:, :, None] if attention.ndim == 4 else shares.mean(1, keepdim=True)) @ attention
        masks = None
        if self.separation is not None:
            logits = self.separation(audio, levels).float() + present[..., None, None]
            masks = self._masks(logits, directions[..., :3, :], arrival)
        return LocalizedTracks(weights, weights.new_zeros(weights.shape[:3]), masks, attention)

    def _prior(self, maps: Sequence[Tensor], steps: int) -> tuple[Sequence[Tensor], Tensor | None]:
        """Maps of the image streams, and the logits of the direction prior at the time steps of the audio or None."""
        if not self.prior:
            return maps, None
        logits = maps[-1]
        timed = resample_steps(rearrange(logits, "B S h w -> B (h w) S").float(), steps)
        return maps[:-1], rearrange(timed, "B (h w) S -> B S h w", h=logits.shape[-2])

    def _present(self, attention: Tensor) -> Tensor:
        """Logarithm of the share of each class that is in the frame, `(B, N)`; of the room 0, as without gate."""
        attention = attention if attention.ndim == 3 else attention.mean(1)
        if not self.gate:
            return torch.zeros_like(attention[..., 0])
        seen = attention[:, 1:, :-1].sum(-1)
        return functional.pad((seen + CLOSED).log(), (1, 0))

    def _masks(self, logits: Tensor, directions: Tensor, arrival: Tensor | None) -> Tensor:
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
