"""Benchmarks of ambisonics: features against torchaudio, rotation against numpy's einsum."""

from __future__ import annotations

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any

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
    features, audio = Features(config), waveforms(size)
    by_channel, at_once = ByChannel(config), AtOnce(config)

    def ours() -> Result:
        return features(audio).split([4, 3], 1)  # type: ignore[no-any-return]

    def per_clip() -> Result:
        levels, intensities = zip(*map(by_channel, audio), strict=True)
        return torch.stack(levels), torch.stack(intensities)

    work = f"{size.clips} clips of {size.samples / config.sample_rate:g} s x 4 channels"
    case = partial(Case, "features", ours=ours, tolerance=1e-3, distance=largest, work=work)
    return [
        case(peer_name="torchaudio a channel, numpy intensity", peer=per_clip),
        case(peer_name="torchaudio, the batch at once", peer=lambda: at_once(audio)),
        _numpy_case(size),
    ]


def _numpy_case(size: Size) -> Case:
    """One clip with the sizes of the baselines of DCASE task 3, whose code is numpy."""
    config = FeatureConfig("foa-iv", n_fft=1024, hop=480, mels=64)
    features, plain, audio = Features(config), PlainNumpy(config), waveforms(size)[0]
    work = f"1 clip of {size.samples / config.sample_rate:g} s x 4 channels"
    return Case(
        "logmel-intensity", "numpy as in DCASE's baseline", lambda: features(audio).split([4, 3]),
        lambda: plain(audio), 1e-3, largest, work=work, aim=4.0,
    )  # fmt: skip


def rotation_cases(size: Size, folder: Path) -> list[Case]:
    """Rotation of a batch of clips, each by its own matrix."""
    audio = waveforms(size)
    angles = torch.rand(3, size.clips, generator=torch.Generator().manual_seed(1)) * math.pi - math.pi / 2
    matrix = rotation(*angles)
    clips, matrices = audio.numpy(), matrix.numpy()

    def ours() -> Result:
        return (rotate(audio, matrix),)

    def peer() -> Result:
        rotated = [np.einsum("ij,jt->it", _on_channels(each), clip) for each, clip in zip(matrices, clips, strict=True)]
        return (torch.from_numpy(np.stack(rotated)),)

    work = f"{size.clips} clips of {size.samples} samples x 4 channels"
    return [Case("rotation", "numpy einsum a clip", ours, peer, 1e-5, largest, work=work, aim=5.0)]


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


class PlainNumpy:
    """Log-mel maps and intensity by numpy alone: STFT, magnitudes, mel products, and levels, a channel at a time.

    As the feature extraction of DCASE's baseline for sound event localisation, with the scaling of `Features`:
    magnitudes, and intensity over energy after the mel bands, not before.
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config, self.bank = config, Features(config).filterbank.numpy()
        self.window = np.hanning(config.n_fft + 1)[:-1].astype(np.float32)

    def __call__(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Levels `(4, time, mels)` and intensity `(3, time, mels)` of `(4, samples)`."""
        spectra = [self._spectrum(channel) for channel in audio.numpy()]
        levels = [self._level(np.dot(np.abs(each), self.bank)) for each in spectra]
        w, others = spectra[0], np.stack(spectra[1:], -1)
        energy = (np.abs(w) ** 2 + (np.abs(others) ** 2).sum(-1)) / 2
        intensity = np.real(np.conj(w)[..., None] * others)
        mel = np.dot(np.transpose(intensity, (2, 0, 1)), self.bank) / (np.dot(energy, self.bank) + 1e-8)
        return torch.from_numpy(np.stack(levels)), torch.from_numpy(mel)

    def _spectrum(self, channel: NDArray[np.float32]) -> NDArray[Any]:
        size, hop = self.config.n_fft, self.config.hop
        padded = np.pad(channel, size // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][: len(channel) // hop]
        return np.fft.rfft(frames * self.window)

    def _level(self, mel: NDArray[Any]) -> NDArray[Any]:
        level = 10 * np.log10(np.maximum(mel, 1e-10))
        clipped: NDArray[Any] = np.maximum(level, level.max() - self.config.top_db)
        return clipped


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


def waveforms(size: Size) -> Tensor:
    """Noise, `(clips, 4, samples)`."""
    return 0.1 * torch.randn(size.clips, 4, size.samples, generator=torch.Generator().manual_seed(0))
