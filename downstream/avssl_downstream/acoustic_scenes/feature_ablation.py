"""Feature ablation: encoders with some feature maps replaced by their mean."""

from __future__ import annotations

from torch import Tensor

from avssl.errors import InputError
from avssl.models.encoders import AudioEncoder
from avssl.spatial.features import Features
from avssl_downstream.classification.options import ABLATIONS, ALL


class AblatedFeatures(Features):
    """Features with some maps set to 0: the mean level in a log-mel map, no direction in a map of intensity.

    Args:
        features: as the encoders have them; statistics are copied.
        maps: iv ablates the maps of direction, level those of log-mels, dipoles the log-mels of Y, Z and X, and space
            all but that of W.

    Raises:
        InputError: there is nothing to ablate, or nothing would be left.
    """

    mask: Tensor

    def __init__(self, features: Features, maps: str) -> None:
        super().__init__(features.config)
        self.to(features.mean.device)
        ablations(features, maps)
        self.load_state_dict(features.state_dict())
        mask = self.mean.new_ones(self.maps, 1, 1)
        mask[_gone(features, maps)] = 0
        # A persistent buffer, so that such encoders have a fingerprint of their own.
        self.register_buffer("mask", mask)

    def forward(self, audio: Tensor) -> Tensor:
        """Maps of a sound `(..., channels, samples)`; see `Features`."""
        return super().forward(audio) * self.mask


def ablate(audio: AudioEncoder, maps: str) -> AudioEncoder:
    """The same tower on other features; see `AblatedFeatures`."""
    return audio.with_features(AblatedFeatures(audio.features, maps))


def ablations(features: Features, wanted: str) -> tuple[str, ...]:
    """Names of the ablations to run, one after the other.

    Args:
        features: of the encoders.
        wanted: one of `ABLATIONS`, all, or nothing.

    Raises:
        InputError: there is nothing to ablate, or nothing would be left.
    """
    if not wanted:
        return ()
    kinds = {maps: range(features.maps)[_gone(features, maps)] for maps in ABLATIONS if wanted in (maps, ALL)}
    # Of two that are the same, the first; without intensity, space is dipoles.
    fitting = {places: maps for maps, places in reversed(kinds.items()) if 0 < len(places) < features.maps}
    if not fitting:
        raise InputError(_why(features, wanted))
    return tuple(reversed(fitting.values()))


def _gone(features: Features, maps: str) -> slice:
    """Indices of the ablated maps: log-mels come first, that of W before the others."""
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
