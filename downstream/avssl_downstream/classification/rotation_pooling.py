"""Yaw-invariant embeddings of ambisonics: averages over rotations of the sound field."""

# N waveforms, K rotations, C channels, S samples, W embedding width; T time, M bands of maps, B pooled bands

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from avssl.config import check_choice
from avssl.errors import InputError
from avssl.models.embedder import AudioEmbedder, module_fingerprint
from avssl.models.encoders import AudioEncoder
from avssl.models.runtime import evaluating
from avssl.spatial.ambisonics import rotate, rotation
from avssl.spatial.features import Features
from avssl_downstream.classification.options import LAYERS

BANDS = 8
"""Frequency bands into which the maps of the first block are pooled."""


class RotationPooledEncoder(nn.Module):
    """Audio embedder: mean embedding over rotations of the sound field about the vertical axis.

    Spatial alignment trains a tower to encode direction, but a scene is recorded with any orientation, and a classifier
    fitted to few recordings overfits to their directions. The mean over rotations keeps directivity and its change over
    time without the direction. The maps of the tower's first block keep the spectrum, which the last layers discard.

    Args:
        audio: pretrained; shared, not copied.
        count: rotations, evenly spaced over the circle; 1: no rotation.
        layer: embedding (output of the tower), or early (mean and maximum over time of the maps of its first block,
            in eight bands).

    Raises:
        InputError: an unknown layer, one that the tower lacks, fewer than one rotation, or several rotations for
            features that do not take ambisonics.
    """

    rotations: Tensor

    def __init__(self, audio: AudioEncoder, count: int, layer: str) -> None:
        super().__init__()
        check_choice("layer", layer, LAYERS)
        if count < 1 or (count > 1 and 4 not in audio.features.accepted):
            limit = "1 (stereo cannot be rotated)" if count > 1 else "1 or more"
            raise InputError(f"expected rotations of {limit} with features {audio.features.name}, got {count}")
        self.audio, self.layer = audio, layer
        steps = torch.arange(count, device=audio.features.mean.device)
        self.register_buffer("rotations", rotation(2 * math.pi * steps / count))
        self.width = audio.width if layer == "embedding" else self._early_width()

    @property
    def features(self) -> Features:
        """Features of the pooled encoder."""
        return self.audio.features

    @property
    def sample_rate(self) -> int:
        """Sample rate of the waveforms in Hz."""
        return self.audio.sample_rate

    def forward(self, audio: Tensor) -> Tensor:
        """Embed waveforms `(N, C, S)`: `(N, width)`, float32."""
        count = len(self.rotations)
        if count > 1:
            audio = rearrange(rotate(audio[:, None], self.rotations[None]), "N K C S -> (N K) C S")
        embeddings = self.audio(audio) if self.layer == "embedding" else pool_over_time(self.audio.early(audio), BANDS)
        return rearrange(embeddings.float(), "(N K) W -> N K W", K=count).mean(1)

    def fingerprint(self) -> str:
        """Hash of the pooled encoder, the rotations and the layer, 64 hexadecimal digits."""
        return module_fingerprint(self, self.audio.fingerprint(), self.layer)

    @torch.no_grad()
    def _early_width(self) -> int:
        silence = self.features.mean.new_zeros(1, self.features.audio_channels, self.sample_rate)
        with evaluating(self.audio):
            return 2 * BANDS * self.audio.early(silence).shape[1]


def pool_rotations(audio: AudioEncoder, count: int, layer: str) -> AudioEmbedder:
    """Encoder pooled over rotations, see `RotationPooledEncoder`; the encoder itself if there is nothing to pool."""
    return audio if count == 1 and layer == "embedding" else RotationPooledEncoder(audio, count, layer)


def pool_over_time(maps: Tensor, bands: int) -> Tensor:
    """Mean and maximum over time of maps `(N, C, T, M)`, pooled into B `bands`: `(N, 2 C B)`."""
    statistics = torch.cat([maps.mean(2), maps.amax(2)], 1)
    return functional.adaptive_avg_pool1d(statistics, bands).flatten(1)
