"""Benchmarks of ambisonics: features against torchaudio, rotation against numpy's einsum."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.transforms import MelScale, MelSpectrogram, Spectrogram

from avssl.bench.case import Case, Result, Size, largest
from avssl.config import FeatureConfig
from avssl.spatial.ambisonics import rotate, rotation
from avssl.spatial.features import Features


def feature_cases(size: Size, folder: Path) -> list[Case]:
    """Features `foa-iv` of a batch of clips."""
    config = FeatureConfig("foa-iv")
    features, audio = Features(config), _waveforms(size)
    by_channel, at_once = ByChannel(config), AtOnce(config)

    def ours() -> Result:
        return features(audio).split([4, 3], 1)  # type: ignore[no-any-return]

    def per_clip() -> Result:
        levels, intensities = zip(*map(by_channel, audio), strict=True)
        return torch.stack(levels), torch.stack(intensities)

    case = partial(Case, "features", ours=ours, tolerance=1e-3, distance=largest)
    return [
        case(peer_name="torchaudio a channel, numpy intensity", peer=per_clip),
        case(peer_name="torchaudio, the batch at once", peer=lambda: at_once(audio)),
    ]


def rotation_cases(size: Size, folder: Path) -> list[Case]:
    """Rotation of a batch of clips, each by its own matrix."""
    audio = _waveforms(size)
    angles = torch.rand(3, size.clips, generator=torch.Generator().manual_seed(1)) * math.pi - math.pi / 2
    matrix = rotation(*angles)
    clips, matrices = audio.numpy(), matrix.numpy()

    def ours() -> Result:
        return (rotate(audio, matrix),)

    def peer() -> Result:
        rotated = [np.einsum("ij,jt->it", _on_channels(each), clip) for each, clip in zip(matrices, clips, strict=True)]
        return (torch.from_numpy(np.stack(rotated)),)

    return [Case("rotation", "numpy einsum a clip", ours, peer, 1e-5, largest)]


class ByChannel:
    """Log-mel maps per channel by torchaudio, intensity by numpy, as in the SELD baselines."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # narrow low bands contain no bin
            self.mel = MelSpectrogram(
                config.sample_rate, config.n_fft, hop_length=config.hop, n_mels=config.mels, power=1.0,
                norm="slaney", mel_scale="slaney",
            )  # fmt: skip
        self.spectrum = Spectrogram(config.n_fft, hop_length=config.hop, power=None)

    def __call__(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Levels `(4, time, mels)` and intensity `(3, time, mels)` of `(4, samples)`."""
        mel = torch.stack([self.mel(channel) for channel in audio])
        spectrum = torch.stack([self.spectrum(channel) for channel in audio]).numpy()
        intensity = np.real(np.conj(spectrum[:1]) * spectrum[1:])
        energy = np.sum(np.abs(spectrum) ** 2, axis=0, keepdims=True) / 2
        intensity, energy = (self.mel.mel_scale(torch.from_numpy(part)).numpy() for part in (intensity, energy))
        frames = audio.shape[-1] // self.config.hop
        ratio = torch.from_numpy(intensity / (energy + 1e-8))
        return _cut(_decibels(mel, self.config.top_db), frames), _cut(ratio, frames)


class AtOnce:
    """The same features by torchaudio from one STFT of all clips and channels."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self.spectrum = Spectrogram(config.n_fft, hop_length=config.hop, power=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self.mel = MelScale(
                config.mels, config.sample_rate, n_stft=config.n_fft // 2 + 1, norm="slaney", mel_scale="slaney"
            )

    def __call__(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Levels `(..., 4, time, mels)` and intensity `(..., 3, time, mels)` of `(..., 4, samples)`."""
        spectrum = self.spectrum(audio)
        magnitude = spectrum.abs()
        intensity = (spectrum[..., :1, :, :].conj() * spectrum[..., 1:, :, :]).real
        energy = magnitude.square().sum(-3, keepdim=True) / 2
        ratio = self.mel(intensity) / (self.mel(energy) + 1e-8)
        frames = audio.shape[-1] // self.config.hop
        return _cut(_decibels(self.mel(magnitude), self.config.top_db), frames), _cut(ratio, frames)


def _decibels(mel: Tensor, top_db: float) -> Tensor:
    level = 10 * mel.clamp(min=1e-10).log10()
    return torch.maximum(level, level.amax((-2, -1), keepdim=True) - top_db)


def _cut(maps: Tensor, frames: int) -> Tensor:
    """Transpose `(..., mels, time)` to `(..., time, mels)`, without the last, half empty frame."""
    return maps[..., :frames].transpose(-2, -1)


def _on_channels(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotation of x, y, z as mixing matrix of W, Y, Z, X."""
    full = np.eye(4, dtype=np.float32)
    full[1:, 1:] = matrix[np.ix_([1, 2, 0], [1, 2, 0])]
    return full


def _waveforms(size: Size) -> Tensor:
    return 0.1 * torch.randn(size.clips, 4, size.samples, generator=torch.Generator().manual_seed(0))
