"""Yaw-invariant embeddings of ambisonics: the average over rotations of the sound field."""

# N sounds, K rotations, C channels, S samples, W numbers of an embedding; T time, M bands of maps, B pooled bands

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
    """Audio embedder: the mean embedding of a sound field under several rotations about the vertical axis.

    Alignment teaches a tower the side from which a sound comes. A scene has no side: its recordings face anywhere, and
    a classifier fitted to few of them takes the side for the scene. The mean over rotations keeps directivity and its
    change over time, and drops the direction. The maps of the tower's first block keep the spectrum, which the last
    layers drop.

    Args:
        audio: pretrained; shared, not copied.
        turns: rotations, evenly spread over the circle; 1: the sound as it is.
        layer: embedding (output of the tower), or early (mean and maximum over time of the maps of its first block,
            in eight bands).

    Raises:
        InputError: an unknown layer, one that the tower lacks, fewer than one rotation, or several of audio that is not
            ambisonics.
    """

    rotations: Tensor

    def __init__(self, audio: AudioEncoder, turns: int, layer: str) -> None:
        super().__init__()
        check_choice("layer", layer, LAYERS)
        if turns < 1 or (turns > 1 and 4 not in audio.features.accepted):
            raise InputError(f"turns is 1 or more, and 1 for features {audio.features.name} of sound for ears: {turns}")
        self.audio, self.layer = audio, layer
        steps = torch.arange(turns, device=audio.features.mean.device)
        self.register_buffer("rotations", rotation(2 * math.pi * steps / turns))
        self.width = audio.width if layer == "embedding" else self._early_width()

    @property
    def features(self) -> Features:
        """Front-end of the pooled encoder."""
        return self.audio.features

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        return self.audio.sample_rate

    def forward(self, audio: Tensor) -> Tensor:
        """Embed sounds `(N, C, S)`: `(N, width)`, float32."""
        turns = len(self.rotations)
        if turns > 1:
            audio = rearrange(rotate(audio[:, None], self.rotations[None]), "N K C S -> (N K) C S")
        found = self.audio(audio) if self.layer == "embedding" else pool_over_time(self.audio.early(audio), BANDS)
        return rearrange(found.float(), "(N K) W -> N K W", K=turns).mean(1)

    def fingerprint(self) -> str:
        """Hash of the pooled encoder, the rotations and the layer, 64 hexadecimal digits."""
        return module_fingerprint(self, self.audio.fingerprint(), self.layer)

    @torch.no_grad()
    def _early_width(self) -> int:
        silence = self.features.mean.new_zeros(1, self.features.audio_channels, self.sample_rate)
        with evaluating(self.audio):
            return 2 * BANDS * self.audio.early(silence).shape[1]


def pool_rotations(audio: AudioEncoder, turns: int, layer: str) -> AudioEmbedder:
    """An encoder pooled over rotations, see `RotationPooledEncoder`; itself, where there is nothing to pool."""
    return audio if turns == 1 and layer == "embedding" else RotationPooledEncoder(audio, turns, layer)


def pool_over_time(maps: Tensor, bands: int) -> Tensor:
    """Mean and maximum over time of maps `(N, C, T, M)`, pooled into so many bands: `(N, 2 C B)`."""
    found = torch.cat([maps.mean(2), maps.amax(2)], 1)
    return functional.adaptive_avg_pool1d(found, bands).flatten(1)
