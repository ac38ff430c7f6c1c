"""From the networks of Morgado et al. to audio: as published, with mixed tracks; or with masks of the spectrogram.

Mono audio to Y, Z and X; or first-order ambisonics to the five channels of second order.
"""

# B windows, I input channels, O generated channels, S samples, F bins and T frames of a spectrogram
# the output of a window is its middle, without the margins

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.spatial.stft import StftConfig, from_parts, one_sided, two_sided
from avssl_downstream.spatialize.generator import SeparatedTracks
from avssl_downstream.spatialize.networks.foa360 import Foa360Net, LocalizedTracks, mix_tracks
from avssl_downstream.spatialize.networks.log_frequency import LogFrequency
from avssl_downstream.spatialize.networks.track_localization import TrackLocalizationNet, channel_masks

LOSS_SECONDS = 0.025
"""Least seconds of an STFT window of the loss, rounded up to a power of two: 2048 samples at 48 kHz, 1024 at 24 kHz."""
SILENT_ENERGY = 1e-12
"""Energy of a band below which it has no direction of arrival."""
MAGNITUDE_SCALE = 5.0
"""Factor before the logarithm: magnitudes of audio at a level of 0.1 become 1 to 100."""


@dataclass(frozen=True)
class WindowSizes:
    """Sizes of a window of audio and of its spectrogram."""

    stft: StftConfig
    columns: int
    """T, frames of its spectrogram."""
    output_seconds: float
    """Seconds of its output, in its middle."""
    sample_rate: int
    """Hz."""

    @property
    def samples(self) -> int:
        """S, samples of a window; no STFT frame reaches beyond it."""
        return (self.columns - 1) * self.stft.hop + self.stft.n_fft

    @property
    def margin(self) -> int:
        """Samples at both ends that are context only."""
        return (self.samples - round(self.output_seconds * self.sample_rate)) // 2

    @property
    def loss(self) -> StftConfig:
        """STFT of the paper's loss; windows overlap by half."""
        size = 2 ** math.ceil(math.log2(LOSS_SECONDS * self.sample_rate))
        return StftConfig(size, size, size // 2, "none")

    def middle(self, audio: Tensor) -> Tensor:
        """Audio `(..., S)` without the margins."""
        return audio[..., self.margin : self.samples - self.margin]

    @property
    def reaching(self) -> range:
        """STFT frames that contain any sample of the middle."""
        first, last = self.margin - self.stft.n_fft, self.samples - self.margin - 1
        return range(first // self.stft.hop + 1, min(self.columns, last // self.stft.hop + 1))

    def middle_of(self, spectrum: Tensor) -> Tensor:
        """Audio of the frames `reaching` `(..., F, T)`, without the margins."""
        start = self.margin - self.reaching.start * self.stft.hop
        return self.stft.istft(spectrum, start + self.samples - 2 * self.margin)[..., start:]

    def middle_columns(self, spectrum: Tensor) -> Tensor:
        """STFT frames of `(..., F, T)` that contain no sample of the margins."""
        first = -(-self.margin // self.stft.hop)
        last = (self.samples - self.margin - self.stft.n_fft) // self.stft.hop
        return spectrum[..., first : last + 1]


class LossSpectra(NamedTuple):
    """Spectrograms that a loss compares, without margins."""

    generated: Tensor
    """`(B, O, F, T)`."""
    target: Tensor
    """`(B, O, F, T)`."""
    tracks: LocalizedTracks | None = None
    """Tracks that the generated ones are of; None for the U-Net."""


class MaskingModel(nn.Module, ABC):
    """A network with the transforms from audio to its input and from its output to audio.

    Args:
        sizes: of windows.
        axis: frequency axis of the network.
        net: separation and localization.
    """

    def __init__(self, sizes: WindowSizes, axis: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.sizes, self.axis, self.net = sizes, axis, net

    @abstractmethod
    def forward(self, audio: Tensor, maps: Sequence[Tensor], masking: Tensor | None = None) -> Tensor:
        """Generated audio `(B, O, S)`.

        Args:
            audio: `(B, I, S)`, its mono part at a level of 0.1.
            maps: visual feature maps of one frame per image stream.
            masking: audio that masks and weights are computed from, at that level; None: `audio`.
        """

    def separated_tracks(self, audio: Tensor, maps: Sequence[Tensor]) -> SeparatedTracks | None:
        """Tracks of W, and their gains; None: this model does not separate tracks."""
        return None

    def magnitude(self, spectrum: Tensor) -> Tensor:
        """Network input `(B, I, rows, T)` of a spectrogram `(B, I, F, T)`; float32 also under autocast."""
        with torch.autocast(spectrum.device.type, enabled=False):
            found: Tensor = self.axis(spectrum.abs())
        return found

    def rows(self, mask: Tensor) -> Tensor:
        """Masks of network rows, `(..., rows, T)`, as masks of bins, `(..., F, T)`; float32 also under autocast."""
        with torch.autocast(mask.device.type, enabled=False):
            found: Tensor = self.axis.inverse(mask.float())  # type: ignore[operator]
        return found

    @abstractmethod
    def spectra(self, audio: Tensor, maps: Sequence[Tensor], target: Tensor) -> LossSpectra:
        """Spectrograms for the loss; target `(B, O, S)`."""


class TrackMixing(MaskingModel):
    """As published: tracks become audio, which is weighted per time step and summed."""

    def forward(self, audio: Tensor, maps: Sequence[Tensor], masking: Tensor | None = None) -> Tensor:
        """See `MaskingModel.forward`."""
        middle = self._middle(audio, maps, audio if masking is None else masking)
        return functional.pad(middle, (self.sizes.margin, self.sizes.margin))

    def spectra(self, audio: Tensor, maps: Sequence[Tensor], target: Tensor) -> LossSpectra:
        """See `MaskingModel.spectra`."""
        loss = self.sizes.loss
        return LossSpectra(loss.stft(self._middle(audio, maps, audio)), loss.stft(self.sizes.middle(target)))

    def separated_tracks(self, audio: Tensor, maps: Sequence[Tensor]) -> SeparatedTracks | None:
        """See `MaskingModel.separated_tracks`; the bias of the weights, a constant signal, is left out."""
        spectrum = self.sizes.stft.stft(audio)
        localized: LocalizedTracks = self.net(self.magnitude(spectrum), maps)
        return track_gains(localized, self.rows, spectrum) if spectrum.shape[1] == 1 else None

    def _middle(self, audio: Tensor, maps: Sequence[Tensor], masking: Tensor) -> Tensor:
        spectrum = self.sizes.stft.stft(audio)
        other = spectrum if masking is audio else self.sizes.stft.stft(masking)
        needed = self.sizes.reaching
        localized, tracks = self.net(self.magnitude(other), maps, needed), self.sizes.middle(audio)
        if localized.masks is not None:
            masks = self.rows(localized.masks)
            each = spectrum[..., needed.start : needed.stop].repeat_interleave(masks.shape[1] // spectrum.shape[1], 1)
            tracks = self.sizes.middle_of(masks * each)
        return mix_tracks(localized.weights.float(), localized.bias.float(), tracks, smooth=True)


class SpectralMasking(MaskingModel):
    """Masks of the input channels, or of W only, for every generated channel."""

    def forward(self, audio: Tensor, maps: Sequence[Tensor], masking: Tensor | None = None) -> Tensor:
        """See `MaskingModel.forward`."""
        spectrum = self.sizes.stft.stft(audio)
        masks = self.masks(spectrum if masking is None else self.sizes.stft.stft(masking), maps)[0]
        return self.sizes.stft.istft(masked(spectrum, masks), audio.shape[-1])

    def spectra(self, audio: Tensor, maps: Sequence[Tensor], target: Tensor) -> LossSpectra:
        """See `MaskingModel.spectra`; those of the masked spectrogram, without inverse transform."""
        spectrum, wanted = self.sizes.stft.stft(audio), self.sizes.stft.stft(target)
        masks, tracks = self.masks(spectrum, maps)
        middle = self.sizes.middle_columns
        return LossSpectra(middle(masked(spectrum, masks)), middle(wanted), tracks)

    @abstractmethod
    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, LocalizedTracks | None]:
        """Masks, and the tracks that they are of.

        Masks are `(B, O, I, F, T)`, real or complex; F may be 1 (the same mask for all bins), I may be 1 (W only).
        """


class TrackMasks(SpectralMasking):
    """Masks of weighted tracks, summed; the bias of the weights is left out."""

    net: Foa360Net | TrackLocalizationNet

    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, LocalizedTracks | None]:
        """See `SpectralMasking.masks`."""
        tracks = self.localized_tracks(spectrum, maps)
        masks = channel_masks(tracks, spectrum.shape[-1], self.net.inputs)
        return masks if tracks.masks is None else self.rows(masks), tracks

    def separated_tracks(self, audio: Tensor, maps: Sequence[Tensor]) -> SeparatedTracks | None:
        """See `MaskingModel.separated_tracks`."""
        spectrum = self.sizes.stft.stft(audio)
        if self.net.inputs != 1:
            return None
        return track_gains(self.localized_tracks(spectrum, maps), self.rows, spectrum)

    def localized_tracks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> LocalizedTracks:
        """Masks and weights of the tracks."""
        found: LocalizedTracks = self.net(self.magnitude(spectrum), maps)
        return found


class SteeredTrackMasks(TrackMasks):
    """Track masks of first-order ambisonics, which also depend on the direction of arrival in each band."""

    axis: LogMagnitudeBands
    net: TrackLocalizationNet

    def localized_tracks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> LocalizedTracks:
        """See `TrackMasks.localized_tracks`."""
        found: LocalizedTracks = self.net(self.magnitude(spectrum), maps, self.axis.direction_of_arrival(spectrum))
        return found


class ComplexMasks(SpectralMasking):
    """U-Net baseline of the paper."""

    def masks(self, spectrum: Tensor, maps: Sequence[Tensor]) -> tuple[Tensor, LocalizedTracks | None]:
        """See `SpectralMasking.masks`; of W only."""
        return from_parts(self.rows(self.net(self.magnitude(spectrum), maps)))[:, :, None], None


def masked(spectrum: Tensor, masks: Tensor) -> Tensor:
    """Generated channels `(B, O, F, T)` of input channels `(B, I, F, T)` by masks, see `SpectralMasking.masks`."""
    found: Tensor = (masks * spectrum[:, None, : masks.shape[2]]).sum(2)
    return found


def track_gains(tracks: LocalizedTracks, rows: Callable[[Tensor], Tensor], spectrum: Tensor) -> SeparatedTracks | None:
    """Masks of bins and gains per STFT frame of localized tracks; None without separation.

    Args:
        tracks: of one input channel.
        rows: see `MaskingModel.rows`.
        spectrum: `(B, I, F, T)`.
    """
    if tracks.masks is None:
        return None
    flat = rearrange(tracks.weights.float(), "B S O N -> B (N O) S")
    timed = functional.interpolate(flat, spectrum.shape[-1], mode="linear")
    gains = rearrange(timed, "B (N O) T -> B N O T", O=tracks.weights.shape[2])
    return SeparatedTracks(rows(tracks.masks), gains)


class TwoSidedSpectrum(nn.Module):
    """All bins of the discrete Fourier transform, negative frequencies too, as in the paper."""

    def forward(self, magnitude: Tensor) -> Tensor:
        """`(..., F, T)` to `(..., n_fft, T)`."""
        return two_sided(magnitude)

    def inverse(self, mask: Tensor) -> Tensor:
        """`(..., n_fft, T)` to `(..., F, T)`."""
        return one_sided(mask)


class LogMagnitudeBands(LogFrequency):
    """Log magnitudes on a logarithmic frequency axis."""

    def forward(self, spectrum: Tensor) -> Tensor:
        """Magnitudes `(..., F, T)` to `(..., bands, T)`, at least 0."""
        return torch.log1p(MAGNITUDE_SCALE * super().forward(spectrum))

    def intensity(self, spectrum: Tensor) -> Tensor:
        """Active intensity along y, z and x: complex ambisonics `(..., 4, F, T)` to `(..., 3, bands, T)`."""
        with torch.autocast(spectrum.device.type, enabled=False):
            return super().forward((spectrum[..., :1, :, :].conj() * spectrum[..., 1:, :, :]).real)

    def direction_of_arrival(self, spectrum: Tensor) -> Tensor:
        """Active intensity over energy of first-order ambisonics, along y, z and x.

        Complex `(..., 4, F, T)` to `(..., 3, bands, T)`, of length 1 for one plane wave; 0 in silence.
        """
        with torch.autocast(spectrum.device.type, enabled=False):
            energy = super().forward(spectrum.abs().square().sum(-3, keepdim=True)) / 2
            return self.intensity(spectrum) / energy.clamp(min=SILENT_ENERGY)
