"""Encoders that hear less than they were trained on: some maps of their input are silenced."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from avssl.models.encoders import Encoders
from avssl.spatial.features import Features

ABLATIONS = ("iv", "level")


class Silenced(Features):
    """Features of which some maps are 0: the mean level in a log-mel map, no direction in a map of intensity.

    Args:
        features: as the encoders have them; statistics are copied.
        maps: iv silences the maps of direction, level those of log-mels.

    Raises:
        ValueError: there is nothing to silence.
    """

    heard: Tensor

    def __init__(self, features: Features, maps: str) -> None:
        super().__init__(features.config)
        if maps == "iv" and self.levels == self.maps:
            raise ValueError(f"ablate=iv: {features.name} has log-mel maps alone, none of direction beside them")
        self.load_state_dict(features.state_dict())
        heard = torch.ones(self.maps, 1, 1)
        heard[slice(self.levels, None) if maps == "iv" else slice(self.levels)] = 0
        # Kept with the weights, so that such encoders have a fingerprint of their own.
        self.register_buffer("heard", heard)

    def forward(self, sound: Tensor) -> Tensor:
        """Maps of a sound `(..., channels, samples)`; see `Features`."""
        return super().forward(sound) * self.heard


def silenced(encoders: Encoders, maps: str) -> Encoders:
    """A copy of encoders with other features; see `Silenced`."""
    copy = deepcopy(encoders)
    copy.audio.features = Silenced(encoders.features, maps)
    return copy.eval()
