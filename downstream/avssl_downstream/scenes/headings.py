"""Encoders of ambisonics made deaf to where a listener happens to look."""

# N sounds, K headings, C channels, S samples, W numbers of an embedding; T time, M bands of maps, B bands that are kept

from __future__ import annotations

import math
from copy import deepcopy

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from avssl.config import check_choice
from avssl.models.encoders import AudioEncoder, Encoders
from avssl.spatial.ambisonics import rotate, rotation

LAYERS = ("embedding", "early")
BANDS = 8
"""Of frequency that are kept apart early in a tower."""


class Headings(AudioEncoder):
    """Sound as it is heard from several headings, evenly spread over the horizon; their mean is one embedding.

    Alignment teaches a tower from which side a sound comes. A scene has no side: its recordings face anywhere, and a
    classifier of a few of them takes the side for the scene. The mean over headings keeps how directed the sound is and
    how that changes, and loses towards where. So do the maps of the tower's first block keep what its last layers leave
    out: which bands of frequency sound, and how.

    Args:
        audio: pretrained; left as it is.
        turns: headings; 1: the sound as it is.
        layer: embedding (what the tower is trained to give), or early (mean and maximum over time of the maps of its
            first block, in eight bands).

    Raises:
        ValueError: an unknown layer, one that the tower lacks, fewer than one heading, or several of sound that is not
            ambisonics.
    """

    rotations: Tensor
    from_early: Tensor

    def __init__(self, audio: AudioEncoder, turns: int, layer: str) -> None:
        torch.nn.Module.__init__(self)
        check_choice("layer", layer, LAYERS)
        if turns < 1 or (turns > 1 and 4 not in audio.features.accepted):
            raise ValueError(f"turns is 1 or more, and 1 for features {audio.features.name} of sound for ears: {turns}")
        self.features, self.tower = audio.features, audio.tower
        # Kept with the weights, so that such encoders have a fingerprint of their own.
        device = next(self.tower.parameters()).device
        self.register_buffer("rotations", rotation(2 * math.pi * torch.arange(turns, device=device) / turns))
        self.register_buffer("from_early", torch.tensor(layer == "early"))
        self.layer = layer
        self.width = self._width(audio)

    def forward(self, sound: Tensor) -> Tensor:
        """Embed sounds `(N, C, S)`: `(N, width)`, float32."""
        turns = len(self.rotations)
        if turns > 1:
            sound = rearrange(rotate(sound[:, None], self.rotations[None]), "N K C S -> (N K) C S")
        heard = self._heard(sound)
        found = self.tower(heard) if self.layer == "embedding" else over_time(self.tower.early(heard), BANDS)
        return rearrange(found.float(), "(N K) W -> N K W", K=turns).mean(1)

    def _width(self, audio: AudioEncoder) -> int:
        if self.layer == "embedding":
            return audio.width
        samples = round(audio.features.config.sample_rate)
        silence = self.rotations.new_zeros(1, audio.features.sound_channels, samples)
        with torch.no_grad():
            return 2 * BANDS * self.tower.early(self._heard(silence)).shape[1]


def all_round(encoders: Encoders, turns: int, layer: str) -> Encoders:
    """Encoders that listen from several headings, a copy; see `Headings`."""
    if turns == 1 and layer == "embedding":
        return encoders
    copy = deepcopy(encoders)
    copy.audio = Headings(copy.audio.eval(), turns, layer)
    return copy.eval()


def over_time(maps: Tensor, bands: int) -> Tensor:
    """Mean and maximum over time of maps `(N, C, T, M)`, each in so many bands: `(N, 2 C B)`."""
    found = torch.cat([maps.mean(2), maps.amax(2)], 1)
    return functional.adaptive_avg_pool1d(found, bands).flatten(1)
