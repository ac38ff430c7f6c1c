"""Baseline embedder: statistics of the log-mel spectrogram."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.models.encoders import AudioEncoder
from avssl.models.tower import Tower, TowerOutput
from avssl.spatial.features import Features

# N sounds, C maps, T time, M mel bands


class Moments(Tower):
    """Mean and mean square of each map and band over time.

    Args:
        maps: of the input.
        bands: of the input.
    """

    def __init__(self, maps: int, bands: int) -> None:
        super().__init__()
        self.width = 2 * maps * bands

    def forward_features(self, x: Tensor) -> TowerOutput:
        """`(N, C, T, M)` to `(N, 2 C M)`: all means, then all mean squares."""
        moments = torch.stack([x.mean(2), x.square().mean(2)], 1)
        return TowerOutput(rearrange(moments, "N two C M -> N (two C M)"), x)


def logmel_statistics(channels: int, sample_rate: int) -> AudioEncoder:
    """Moments of 64 mel bands of each channel.

    Args:
        channels: 4: W, Y, Z, X; 2: left and right.
        sample_rate: Hz at which the spectrum is taken.
    """
    features = Features(FeatureConfig({4: "foa-logmel", 2: "stereo-logmel"}[channels], sample_rate, mels=64))
    return AudioEncoder(features, Moments(features.maps, features.config.mels))
