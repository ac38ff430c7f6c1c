"""What encoders must beat: statistics of the spectrum."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from avssl.config import FeatureConfig, ModelConfig
from avssl.models.encoders import AudioEncoder, Encoders
from avssl.models.unpooled import Tower, Unpooled
from avssl.spatial.features import Features

# N sounds, C maps, T time, M mel bands


class Listener(Encoders):
    """Something that listens as encoders do, and sees nothing.

    Args:
        features: sound to maps.
        tower: maps to embeddings.
    """

    def __init__(self, features: Features, tower: Tower) -> None:
        nn.Module.__init__(self)
        name = f"{type(features).__name__} {type(tower).__name__}"
        self.model_config, self.feature_config = ModelConfig(audio=name), features.config
        self.audio = _Ear(features, tower)
        self.eval()


class _Ear(AudioEncoder):
    """Features and tower as they are given."""

    def __init__(self, features: Features, tower: Tower) -> None:
        nn.Module.__init__(self)
        self.features, self.tower, self.width = features, tower, tower.width


class Moments(Tower):
    """Mean and mean square of each map and band over time.

    Args:
        maps: of the input.
        bands: of the input.
    """

    def __init__(self, maps: int, bands: int) -> None:
        super().__init__()
        self.width = 2 * maps * bands

    def unpooled(self, x: Tensor) -> Unpooled:
        """`(N, C, T, M)` to `(N, 2 C M)`: all means, then all mean squares."""
        moments = torch.stack([x.mean(2), x.square().mean(2)], 1)
        return Unpooled(rearrange(moments, "N two C M -> N (two C M)"), x)


def logmel_statistics(channels: int, sample_rate: int) -> Listener:
    """Moments of 64 mel bands of each channel.

    Args:
        channels: 4: W, Y, Z, X; 2: left and right.
        sample_rate: Hz at which the spectrum is taken.
    """
    features = Features(FeatureConfig({4: "foa-logmel", 2: "stereo-logmel"}[channels], sample_rate, mels=64))
    return Listener(features, Moments(features.maps, features.config.mels))
