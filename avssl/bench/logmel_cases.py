"""Benchmark of log-mel spectrograms of four channels against librosa, a clip at a time and in a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avssl.bench.ambisonic_cases import waveforms
from avssl.bench.case import Case, Result, Row, Size, largest
from avssl.bench.peers import with_library
from avssl.config import FeatureConfig
from avssl.spatial.features import Features


def cases(size: Size, folder: Path) -> list[Row]:
    """Log-mel maps of one clip, and of a batch."""
    return with_library("logmel", "librosa", "librosa a channel", partial(_cases, size))


def _cases(size: Size, librosa: Any) -> list[Case]:
    features, audio = Features(FeatureConfig("foa-logmel")), waveforms(size)
    length = f"{size.samples / features.config.sample_rate:g} s x 4 channels"

    def ours(clips: Tensor) -> Callable[[], Result]:
        return lambda: (features(clips),)

    def peer(clips: Tensor) -> Callable[[], Result]:
        return lambda: (torch.stack([_channels(librosa, clip.numpy(), features.config) for clip in clips]),)

    case = partial(Case, peer_name="librosa a channel", tolerance=1e-3, distance=largest)
    one = audio[:1]
    return [
        case("logmel", ours=ours(one), peer=peer(one), work=f"1 clip of {length}", aim=4.0),
        case("logmel-batch", ours=ours(audio), peer=peer(audio), work=f"{len(audio)} clips of {length}", aim=6.0),
    ]


def _channels(librosa: Any, clip: np.ndarray, config: FeatureConfig) -> Tensor:
    """Levels `(channels, time, mels)` of `(channels, samples)`."""
    maps = []
    for channel in clip:
        mel = librosa.feature.melspectrogram(
            y=channel, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop, n_mels=config.mels,
            power=1.0, pad_mode="reflect",
        )  # fmt: skip
        maps.append(librosa.power_to_db(mel, top_db=config.top_db)[:, : len(channel) // config.hop].T)
    return torch.from_numpy(np.stack(maps))
