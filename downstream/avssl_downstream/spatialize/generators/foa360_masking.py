"""How Morgado's network turns mono sound and maps of a panorama into Y, Z and X: as published, or as spectral masks.

Or the four channels of a first-order field into the five that the second order adds.
"""

# B windows, I channels that come, O channels that are made, S samples, F rows and T columns of a spectrum
# the given part is the middle of a window, which is used

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.spatial.stft import StftConfig, from_parts, one_sided, two_sided
from avssl_downstream.spatialize.networks.foa360 import Foa360Net, LocalizedTracks, mix_tracks
from avssl_downstream.spatialize.networks.log_frequency import LogFrequency
from avssl_downstream.spatialize.networks.track_localization import TrackLocalizationNet, channel_masks

LOSS_SECONDS = 0.025
"""Windows of the loss have the power of two from here up: 2048 samples at 48 kHz, 1024 at 24 kHz."""
SILENT = 1e-12
"""Energy of a band below which it arrives from nowhere."""
LOUD = 5.0
"""Magnitudes of sound at a level of 0.1, times this, are of the order of 1 to 100: their logarithm is taken."""


@dataclass(frozen=True)
class WindowSizes:
    """Of a window."""

    stft: StftConfig
    columns: int
    """Of its spectrum."""
    output_seconds: float
    """Seconds in its middle that are used."""
    sample_rate: int
    """Hz."""

    @property
    def samples(self) -> int:
        """Of a window; no spectrum reaches beyond it."""
        return (self.columns - 1) * self.stft.hop + self.stft.n_fft

    @property
    def margin(self) -> int:
        """Samples at both ends that are only context."""
        return (self.samples - round(self.output_seconds * self.sample_rate)) // 2

    @property
    def loss(self) -> StftConfig:
        """Spectrum that the paper's loss is measured in, half of each window overlapping."""
        size = 2 ** math.ceil(math.log2(LOSS_SECONDS * self.sample_rate))
        return StftConfig(size, size, size // 2, "none")

    def middle(self, audio: Tensor) -> Tensor:
        """The given part of sound `(..., S)`."""
        return audio[..., self.margin : self.samples - self.margin]

    def middle_columns(self, spectrum: Tensor) -> Tensor:
        """Columns of a spectrum `(..., F, T)` that hear nothing but the given part."""
        first = -(-self.margin // self.stft.hop)
        last = (self.samples - self.margin - self.stft.n_fft) // self.stft.hop
        return spectrum[..., first : last + 1]


class MaskingModel(nn.Module, ABC):
    """A network with the way from sound to its input and from its output to sound.

    Args:
        sizes: of windows.
        axis: of frequency.
        net: its localisation and separation.
    """

    def __init__(self, sizes: WindowSizes, axis: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.sizes, self.axis, self.net = sizes, axis, net

    @abstractmethod
    def forward(self, audio: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """`(B, O, S)` of sound `(B, I, S)` whose mono part is at a level of 0.1 and maps of a picture a stream."""

    def magnitude(self, spectrum: Tensor) -> Tensor:
        """What the network takes in, `(B, I, rows, T)`, of a spectrum `(B, I, F, T)`; float32 inside autocast too."""
        with torch.autocast(spectrum.device.type, enabled=False):
            found: Tensor = self.axis(spectrum.abs())
        return found

    def rows(self, mask: Tensor) -> Tensor:
        """Masks of what the network takes in, `(..., rows, T)`, as those of a spectrum, `(..., F, T)`; likewise."""
        with torch.autocast(mask.device.type, enabled=False):
            found: Tensor = self.axis.inverse(mask.float())  # type: ignore[operator]
        return found

    @abstractmethod
    def spectra(self, audio: Tensor, maps: Sequence[Tensor], truth: Tensor) -> tuple[Tensor, Tensor]:
        """Found and true spectra `(B, O, F, T)` of the given part, which the loss compares; truth is `(B, O, S)`."""


class TrackMixing(MaskingModel):
    """As published: every track becomes a sound, and sounds are weighted, step by step, and added up."""

    def forward(self, audio: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """See `MaskingModel`."""
        return functional.pad(self._middle(audio, maps), (self.sizes.margin, self.sizes.margin))

    def spectra(self, audio: Tensor, maps: Sequence[Tensor], truth: Tensor) -> tuple[Tensor, Tensor]:
        """See `MaskingModel`."""
        loss = self.sizes.loss
        return loss.stft(self._middle(audio, maps)), loss.stft(self.sizes.middle(truth))

    def _middle(self, audio: Tensor, maps: Sequence[Tensor]) -> Tensor:
        spectrum = self.sizes.stft.stft(audio)
        found, tracks = self.net(self.magnitude(spectrum), maps), audio
        if found.masks is not None:
            masks = self.rows(found.masks)
            each = spectrum.repeat_interleave(masks.shape[1] // spectrum.shape[1], 1)
            tracks = self.sizes.stft.istft(masks * each, audio.shape[-1])
        return mix_tracks(found.weights.float(), found.bias.float(), self.sizes.middle(tracks), smooth=True)


class SpectralMasking(MaskingModel):
    """For every channel that is made a mask of each that comes, or of the first, W."""

    def forward(self, audio: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """See `MaskingModel`."""
        return self.sizes.stft.istft(self._product(audio, maps), audio.shape[-1])

    def spectra(self, audio: Tensor, maps: Sequence[Tensor], truth: Tensor) -> tuple[Tensor, Tensor]:
        """See `MaskingModel`; of the spectrum that is masked, with no way to sound and back."""
        found, wanted = self._product(audio, maps), self.sizes.stft.stft(truth)
        return self.sizes.middle_columns(found), self.sizes.middle_columns(wanted)

    def _product(self, audio: Tensor, maps: Sequence[Tensor]) -> Tensor:
        spectrum = self.sizes.stft.stft(audio)
        masks = self.masks(spectrum, maps)
        return (masks * spectrum[:, None, : masks.shape[2]]).sum(2)

    @abstractmethod
    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """`(B, O, I, F, T)`, real or complex, or with one row that stands for all, or with W's alone."""


class TrackMasks(SpectralMasking):
    """Weighted tracks, added up as masks; the weights' bias is left out."""

    net: Foa360Net | TrackLocalizationNet

    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """See `SpectralMasking`."""
        found = self.localized_tracks(spectrum, maps)
        masks = channel_masks(found, spectrum.shape[-1], self.net.inputs)
        return masks if found.masks is None else self.rows(masks)

    def localized_tracks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> LocalizedTracks:
        """TrackMixing and their weights."""
        found: LocalizedTracks = self.net(self.magnitude(spectrum), maps)
        return found


class SteeredTrackMasks(TrackMasks):
    """The same of a first-order field, of which every band tells from where it arrives."""

    axis: LogMagnitudeBands
    net: TrackLocalizationNet

    def localized_tracks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> LocalizedTracks:
        """See `TrackMasks`."""
        found: LocalizedTracks = self.net(self.magnitude(spectrum), maps, self.axis.arriving(spectrum))
        return found


class ComplexMasks(SpectralMasking):
    """The paper's U-Net baseline."""

    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """See `SpectralMasking`; of W."""
        return from_parts(self.rows(self.net(self.magnitude(spectrum), maps)))[:, :, None]


class TwoSidedSpectrum(nn.Module):
    """All rows of the transform, as the paper has them: those of opposite frequencies too."""

    def forward(self, magnitude: Tensor) -> Tensor:
        """`(..., F, T)` to `(..., n_fft, T)`."""
        return two_sided(magnitude)

    def inverse(self, mask: Tensor) -> Tensor:
        """`(..., n_fft, T)` to `(..., F, T)`."""
        return one_sided(mask)


class LogMagnitudeBands(LogFrequency):
    """Logarithm of magnitudes on a logarithmic axis of frequency."""

    def forward(self, spectrum: Tensor) -> Tensor:
        """`(..., F, T)` to `(..., bands, T)`, from 0 up."""
        return torch.log1p(LOUD * super().forward(spectrum))

    def arriving(self, spectrum: Tensor) -> Tensor:
        """From where a first-order field comes: its active intensity over its energy, along y, z and x.

        Complex `(..., 4, F, T)` to `(..., 3, bands, T)`, of length 1 for one plane wave; 0 in silence.
        """
        with torch.autocast(spectrum.device.type, enabled=False):
            intensity = super().forward((spectrum[..., :1, :, :].conj() * spectrum[..., 1:, :, :]).real)
            energy = super().forward(spectrum.abs().square().sum(-3, keepdim=True)) / 2
            return intensity / energy.clamp(min=SILENT)
