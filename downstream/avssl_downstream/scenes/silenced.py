"""Encoders that hear less than they were trained on: some maps of their input are silenced."""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from avssl.models.encoders import Encoders
from avssl.spatial.features import Features

ABLATIONS = ("iv", "level", "dipoles", "space")
ALL = "all"
"""Each of them that takes something away, leaves something, and is no other one again."""


class Silenced(Features):
    """Features of which some maps are 0: the mean level in a log-mel map, no direction in a map of intensity.

    Args:
        features: as the encoders have them; statistics are copied.
        maps: iv silences the maps of direction, level those of log-mels, dipoles the log-mels of Y, Z and X, and space
            all but that of W.

    Raises:
        ValueError: there is nothing to silence, or nothing would be left.
    """

    heard: Tensor

    def __init__(self, features: Features, maps: str) -> None:
        super().__init__(features.config)
        self.to(features.mean.device)
        ablations(features, maps)
        self.load_state_dict(features.state_dict())
        heard = self.mean.new_ones(self.maps, 1, 1)
        heard[_gone(features, maps)] = 0
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


def ablations(features: Features, wanted: str) -> tuple[str, ...]:
    """What is to be silenced, one after the other.

    Args:
        features: of the encoders.
        wanted: one of `ABLATIONS`, all, or nothing.

    Raises:
        ValueError: there is nothing to silence, or nothing would be left.
    """
    if not wanted:
        return ()
    kinds = {maps: range(features.maps)[_gone(features, maps)] for maps in ABLATIONS if wanted in (maps, ALL)}
    # Of two that are the same, the first; without intensity, space is dipoles.
    fitting = {places: maps for maps, places in reversed(kinds.items()) if 0 < len(places) < features.maps}
    if not fitting:
        raise ValueError(_why(features, wanted))
    return tuple(reversed(fitting.values()))


def _gone(features: Features, maps: str) -> slice:
    """The maps that are silenced: log-mels come first, W's foremost."""
    if maps in ("dipoles", "space") and features.levels != 4:
        return slice(0)
    ends = {"iv": (features.levels, None), "level": (0, features.levels), "dipoles": (1, features.levels)}
    return slice(*ends.get(maps, (1, None)))


def _why(features: Features, maps: str) -> str:
    if maps == "iv":
        return f"ablate=iv: {features.name} has log-mel maps alone, none of direction beside them"
    if maps == "level":
        return f"ablate=level: {features.name} has log-mel maps alone, nothing would be left"
    return f"ablate={maps}: {features.name} has no log-mels of Y, Z and X beside that of W"
