"""Baseline embedder: statistics of the log-mel spectrogram."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.models.encoders import AudioEncoder
from avssl.models.tower import Tower, TowerOutput
from avssl.spatial.features import Features

# N waveforms, C maps, T time, M mel bands


class Moments(Tower):
    """Mean and mean square of each map and band over time.

    Args:
        maps: input feature maps C.
        bands: mel bands M.
    """

    def __init__(self, maps: int, bands: int) -> None:
        super().__init__()
        self.width = 2 * maps * bands

    def forward_features(self, x: Tensor) -> TowerOutput:
        """`(N, C, T, M)` to `(N, 2 C M)`: all means, then all mean squares."""
        moments = torch.stack([x.mean(2), x.square().mean(2)], 1)
        return TowerOutput(rearrange(moments, "N two C M -> N (two C M)"), x)


def logmel_statistics(channels: int, sample_rate: int) -> AudioEncoder:
    """Embedder of means and mean squares of 64 log-mel bands of each channel.

    Args:
        channels: 4 (W, Y, Z, X) or 2 (left, right).
        sample_rate: of the waveforms, in Hz.
    """
    features = Features(FeatureConfig({4: "foa-logmel", 2: "stereo-logmel"}[channels], sample_rate, mels=64))
    return AudioEncoder(features, Moments(features.maps, features.config.mels))
