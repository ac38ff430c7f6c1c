"""Oracles: output of ideal masks, and of a generator with part of it replaced by the ground truth of the scene."""

# B windows, I input channels, O generated channels, C output channels, S samples; F bins and T frames of a spectrogram
# N objects of a scene, K of them sound; M tracks of a generator

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avssl.spatial.stft import StftConfig
from avssl_downstream.spatialize.clip_truth import ClipTruth
from avssl_downstream.spatialize.generator import KEPT_CHANNELS, Generator, SeparatedTracks

TINY = 1e-20
"""Power that is added to denominators."""

TrackFunction = Callable[[Tensor, list[int]], SeparatedTracks]
Outputs = dict[str, Tensor]
"""Row -> audio `(C, S)`."""


def best_masks(target: Tensor, stft: StftConfig) -> Outputs:
    """Best possible output of masks of the mono audio: `best_real`, `best_complex`.

    A real mask gives the part of a channel that is in phase with the mono audio, or in opposite phase; complex ones are
    unbounded, and give everything where the mono audio is not silent. Masks are those of left minus right, of Y, Z and
    X, or of the channels of second order.

    Args:
        target: true audio `(C, S)`.
        stft: of the masks.
    """
    stft = _whole_clip(stft)
    mono = stft.stft(_mono(target))
    channels = stft.stft(_generated(target))
    samples = target.shape[-1]
    masks = channels * mono.conj() / (mono.abs().square() + TINY)
    kinds = {"best_real": masks.real, "best_complex": masks}
    return {name: _with_generated(target, stft.istft(mask * mono, samples)) for name, mask in kinds.items()}


def perfect_eye(truth: ClipTruth, target: Tensor, stft: StftConfig) -> Outputs:
    """Output of an eye that sees everything in the frames, with the true real mask of each source.

    - `seen`: each source in the frame at its place; those out of the frame stay in W, or in the middle. Places are the
      gains of direct sound, masks are of the sound from there; of binaural audio, the source's own left minus right.
    - `observer`, ambisonics only: an ideal observer of kinds, who separates sources but knows only of which kind each
      is. A source has the mean gains of all objects of its kind in the frame, silent ones too, which one frame does
      not tell apart; 0 if none is seen.

    Args:
        truth: of the clip.
        target: true audio `(C, S)`.
        stft: of the masks.
    """
    stft = _whole_clip(stft)
    mono, samples = stft.stft(_mono(target)), target.shape[-1]
    times = np.arange(mono.shape[-1]) * stft.hop / truth.sample_rate
    seen = truth.seen(times).float()
    if len(target) == 2:
        side = _real_masks(stft.stft(_generated(truth.stems)), mono)
        channels = torch.einsum("KT,KOFT->OFT", seen[truth.sounding], side) * mono
        return {"seen": _with_generated(target, stft.istft(channels, samples))}
    masks, gains = _real_masks(stft.stft(truth.sources), mono), truth.gains(times)
    same = torch.tensor([[kind == truth.kinds[place] for kind in truth.kinds] for place in truth.sounding]).float()
    candidates = torch.einsum("KN,NT->KNT", same, seen)
    share = candidates / candidates.sum(1, keepdim=True).clamp(min=1)
    places = {
        "seen": seen[truth.sounding][:, None] * gains[truth.sounding],
        "observer": torch.einsum("KNT,NOT->KOT", share, gains),
    }
    return {
        name: _with_generated(target, stft.istft(torch.einsum("KOT,KFT->OFT", each, masks) * mono, samples))
        for name, each in places.items()
    }


def true_places(tracks: SeparatedTracks, mono: Tensor, stems: Tensor, gains: Tensor) -> Tensor:
    """Generated channels of a generator's own tracks at true places, complex `(B, O, F, T)`.

    A track's gains are those of the sources in it, averaged with their energy in the track as weight.

    Args:
        tracks: of the windows.
        mono: spectrograms of W, `(B, F, T)`.
        stems: spectrograms of the sources, `(B, K, F, T)`.
        gains: true gains of the sources, `(B, K, O)`.
    """
    masks = tracks.masks / tracks.masks.sum(1, keepdim=True).clamp(min=1)
    energy = torch.einsum("BMFT,BKFT->BMK", masks.square(), stems.abs().square())
    places = energy / (energy.sum(-1, keepdim=True) + TINY) @ gains
    return torch.einsum("BMFT,BMO->BOFT", masks, places) * mono[:, None]


def true_masks(tracks: SeparatedTracks, mono: Tensor, stems: Tensor) -> Tensor:
    """Generated channels of truly masked sources at a generator's own places, complex `(B, O, F, T)`.

    A source's gains are those that the generator gives it on the average, with its energy in each bin as weight.

    Args:
        tracks: of the windows.
        mono: spectrograms of W, `(B, F, T)`.
        stems: spectrograms of the sources, `(B, K, F, T)`.
    """
    power = stems.abs().square()
    own = torch.einsum("BMFT,BMOT->BOFT", tracks.masks, tracks.gains)
    gains = torch.einsum("BOFT,BKFT->BKO", own, power) / (power.sum((-2, -1))[..., None] + TINY)
    masks = torch.stack([_real_masks(each, of) for each, of in zip(stems, mono, strict=True)])
    return torch.einsum("BKO,BKFT->BOFT", gains, masks) * mono[:, None]


class TrackOracles:
    """Windows of the rows `places` and `masks`: input channels and sources `(B, I + K, S)` to `(B, C, S)`.

    Args:
        generator: with tracks of its own.
        truth: of the clip.
        tracks: of windows `(B, I, S)` that begin at some samples.
    """

    def __init__(self, generator: Generator, truth: ClipTruth, tracks: TrackFunction) -> None:
        self.generator, self.truth, self.tracks = generator, truth, tracks

    def places(self, windows: Tensor, starts: list[int]) -> Tensor:
        """See `true_places`."""
        mono, stems = self._spectra(windows)
        middle = (np.array(starts) + self.generator.samples / 2) / self.generator.sample_rate
        gains = self.truth.gains(middle)[self.truth.sounding].permute(2, 0, 1)
        return self._audio(windows, true_places(self._tracks(windows, starts), mono, stems, gains))

    def masks(self, windows: Tensor, starts: list[int]) -> Tensor:
        """See `true_masks`."""
        return self._audio(windows, true_masks(self._tracks(windows, starts), *self._spectra(windows)))

    def _tracks(self, windows: Tensor, starts: list[int]) -> SeparatedTracks:
        return self.tracks(windows[:, : self.generator.input_channels], starts)

    def _spectra(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Spectrograms of W and of the sources."""
        stft = self.generator.mask_stft
        return stft.stft(windows[:, 0]), stft.stft(windows[:, self.generator.input_channels :])

    def _audio(self, windows: Tensor, channels: Tensor) -> Tensor:
        generated = self.generator.mask_stft.istft(channels, windows.shape[-1])
        return torch.cat([windows[:, : self.generator.input_channels], generated], 1)


def _real_masks(parts: Tensor, mono: Tensor) -> Tensor:
    """Real masks `(..., F, T)` by which a mix gives parts of it, as closely as real masks can."""
    return (parts * mono.conj()).real / (mono.abs().square() + TINY)


def _whole_clip(stft: StftConfig) -> StftConfig:
    """An STFT that covers a clip from its first to its last sample."""
    return replace(stft, pad="reflect")


def _mono(target: Tensor) -> Tensor:
    """Left plus right, or W: `(S,)`."""
    return target.sum(-2) if target.shape[-2] == 2 else target[..., 0, :]


def _generated(audio: Tensor) -> Tensor:
    """The channels that a generator has to make, `(..., O, S)`: left minus right, or those after the input channels."""
    if audio.shape[-2] == 2:
        return audio[..., :1, :] - audio[..., 1:, :]
    return audio[..., KEPT_CHANNELS[audio.shape[-2]] :, :]


def _with_generated(target: Tensor, channels: Tensor) -> Tensor:
    """Output `(C, S)` of generated channels and the true input channels."""
    if len(target) == 2:
        mix = target.sum(0)
        return torch.stack([mix + channels[0], mix - channels[0]]) / 2
    return torch.cat([target[: KEPT_CHANNELS[len(target)]], channels])
