"""From the networks of `mono_to_3d` to masks of the mono spectrogram for Y, Z and X."""

# B windows, F bins and T frames of a spectrogram, N tracks, K sources; S times, h and w rows and columns of the maps

from __future__ import annotations

import torch
from torch import Tensor

from avssl.spatial.stft import from_parts, parts
from avssl_downstream.spatialize.generator import SeparatedTracks
from avssl_downstream.spatialize.generators.foa360_masking import LogMagnitudeBands, track_gains
from avssl_downstream.spatialize.generators.mono_to_3d_losses import match_tracks, place_loss, stem_loss
from avssl_downstream.spatialize.generators.mono_to_3d_options import MonoTo3DOptions
from avssl_downstream.spatialize.networks.foa360 import LocalizedTracks
from avssl_downstream.spatialize.networks.frame_localization import PlacedTracks, PointingNet
from avssl_downstream.spatialize.networks.mono_to_3d import MonoTo3DNet
from avssl_downstream.spatialize.networks.track_localization import channel_masks

TO_AMBIX = (1, 2, 0)
"""Positions of Y, Z and X in the paper's order X, Y, Z."""


class UNetMasks(MonoTo3DNet):
    """Complex masks of the U-Net, as published.

    Args:
        options: of the U-Net.
        channels: of the visual feature maps.
        frame_times: S.
        tower: channels of the features of an audio tower; 0: none.
    """

    def __init__(self, options: MonoTo3DOptions, channels: int, frame_times: int, tower: int = 0) -> None:
        super().__init__(options.width, channels, frame_times, options.visual_width, options.depth, tower)
        # Unbounded masks start near 0: default weights would be ten times louder than the target.
        for each in self.last.parameters():
            torch.nn.init.normal_(each, std=1e-3)

    def masks(self, mix: Tensor, maps: Tensor, audio: Tensor | None) -> Tensor:
        """Complex masks `(B, 3, F, T)` of Y, Z and X.

        Args:
            mix: spectrograms of W at a level of 0.1, complex `(B, F, T)`.
            maps: visual feature maps, `(B, channels, S, h, w)`.
            audio: features of an audio tower, see `AudioBranch.forward`; None: none.
        """
        return from_parts(self(parts(mix), maps, audio)[:, TO_AMBIX])

    def separated_tracks(self, mix: Tensor, maps: Tensor, audio: Tensor | None) -> SeparatedTracks | None:
        """None: masks are of channels."""
        return None

    def training_masks(
        self, mix: Tensor, maps: Tensor, audio: Tensor | None, wanted: Tensor, stems: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Masks, and no further loss."""
        return self.masks(mix, maps, audio), {}


class TrackedMasks(PointingNet):
    """Real masks of the pointing network: tracks times their gains, summed.

    Args:
        options: of the pointing network.
        channels: of the visual feature maps.
        columns: T.
        tower: channels of the features of an audio tower; 0: none.
    """

    def __init__(self, options: MonoTo3DOptions, channels: int, columns: int, tower: int = 0) -> None:
        super().__init__((options.bands, columns), channels, options.tracks, options.units, options.gate, tower)
        self.axis = LogMagnitudeBands(options.spectrum.bins, options.bands, max(1.0, options.spectrum.bins / 170))
        self.with_places = options.place_weight > 0

    def masks(self, mix: Tensor, maps: Tensor, audio: Tensor | None) -> Tensor:
        """Real masks; see `UNetMasks.masks`."""
        return self._channel_masks(self._localized(mix, maps, audio)[0], mix)

    def separated_tracks(self, mix: Tensor, maps: Tensor, audio: Tensor | None) -> SeparatedTracks | None:
        """Masks of the tracks, and their gains."""
        return track_gains(self._localized(mix, maps, audio)[0], self._bins, mix[:, None])

    def training_masks(
        self, mix: Tensor, maps: Tensor, audio: Tensor | None, wanted: Tensor, stems: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Masks, and the losses of places and of separated sources.

        Args:
            mix: see `masks`.
            maps: see `masks`.
            audio: see `masks`.
            wanted: true spectrograms of Y, Z and X, complex `(B, 3, F, T)`.
            stems: those of the sources, complex `(B, K, F, T)`; None: no such loss.
        """
        tracks, placed = self._localized(mix, maps, audio)
        assert tracks.masks is not None
        power, found = self._pooled(mix[:, None].abs().square()), {}
        if self.with_places:
            cross = self._pooled((wanted * mix[:, None].conj()).real)
            found["place"] = place_loss(placed, tracks.masks, cross, power)
        if stems is not None:
            matched = match_tracks(tracks.masks, power, self._pooled(stems.abs().square()))
            found["stem"] = stem_loss(self._bins(tracks.masks), mix, stems, matched)
        return self._channel_masks(tracks, mix), found

    def _localized(self, mix: Tensor, maps: Tensor, audio: Tensor | None) -> tuple[LocalizedTracks, PlacedTracks]:
        with torch.autocast(mix.device.type, enabled=False):
            magnitude: Tensor = self.axis(mix[:, None].abs())
        found: tuple[LocalizedTracks, PlacedTracks] = self(magnitude, maps, audio)
        return found

    def _channel_masks(self, tracks: LocalizedTracks, mix: Tensor) -> Tensor:
        return self._bins(channel_masks(tracks, mix.shape[-1])[:, :, 0])

    def _pooled(self, power: Tensor) -> Tensor:
        """Powers of bins `(..., F, T)` in bands."""
        with torch.autocast(power.device.type, enabled=False):
            found: Tensor = self.axis.forth @ power
        return found

    def _bins(self, mask: Tensor) -> Tensor:
        """Masks of bands as masks of bins; float32 also under autocast."""
        with torch.autocast(mask.device.type, enabled=False):
            return self.axis.inverse(mask.float())


def build(
    options: MonoTo3DOptions, channels: int, frame_times: int, columns: int, tower: int = 0
) -> UNetMasks | TrackedMasks:
    """The network that the options choose.

    Args:
        options: network and sizes.
        channels: of the visual feature maps.
        frame_times: S.
        columns: T.
        tower: channels of the features of an audio tower; 0: none.
    """
    if options.network == "pointing":
        return TrackedMasks(options, channels, columns, tower)
    return UNetMasks(options, channels, frame_times, tower)
