"""Feature ablation: encoders with some feature maps replaced by their mean."""

from __future__ import annotations

from torch import Tensor

from avssl.errors import InputError
from avssl.models.encoders import AudioEncoder
from avssl.spatial.features import Features
from avssl_downstream.classification.options import ABLATIONS, ALL


class AblatedFeatures(Features):
    """Features with some maps set to 0: the mean level of a log-mel map, no direction of an intensity map.

    Args:
        features: of the encoders; statistics are copied.
        maps: iv ablates the direction maps, level the log-mels, dipoles the log-mels of Y, Z and X, space all but the
            log-mel of W.

    Raises:
        InputError: the features lack these maps, or have no others.
    """

    mask: Tensor

    def __init__(self, features: Features, maps: str) -> None:
        super().__init__(features.config)
        self.to(features.mean.device)
        ablations(features, maps)
        self.load_state_dict(features.state_dict())
        mask = self.mean.new_ones(self.maps, 1, 1)
        mask[_ablated_maps(features, maps)] = 0
        # A persistent buffer, so that the fingerprint differs.
        self.register_buffer("mask", mask)

    def forward(self, audio: Tensor, rotation: Tensor | None = None) -> Tensor:
        """Maps of waveforms; see `Features`."""
        return super().forward(audio, rotation) * self.mask


def ablate(audio: AudioEncoder, maps: str) -> AudioEncoder:
    """Encoder with the same tower on ablated features; see `AblatedFeatures`."""
    return audio.with_features(AblatedFeatures(audio.features, maps))


def ablations(features: Features, chosen: str) -> tuple[str, ...]:
    """Names of the ablations to run.

    Args:
        features: of the encoders.
        chosen: one of `ABLATIONS`, all, or empty.

    Raises:
        InputError: the features lack these maps, or have no others.
    """
    if not chosen:
        return ()
    kinds = {maps: range(features.maps)[_ablated_maps(features, maps)] for maps in ABLATIONS if chosen in (maps, ALL)}
    # The first of two that ablate the same maps: without intensity vectors, space equals dipoles.
    unique = {indices: maps for maps, indices in reversed(kinds.items()) if 0 < len(indices) < features.maps}
    if not unique:
        raise InputError(_ablation_error(features, chosen))
    return tuple(reversed(unique.values()))


def _ablated_maps(features: Features, maps: str) -> slice:
    """Indices of the ablated maps; log-mels come first, W before the other channels."""
    if maps in ("dipoles", "space") and features.levels != 4:
        return slice(0)
    ends = {"iv": (features.levels, None), "level": (0, features.levels), "dipoles": (1, features.levels)}
    return slice(*ends.get(maps, (1, None)))


def _ablation_error(features: Features, maps: str) -> str:
    if maps == "iv":
        return f"ablate=iv: expected features with direction maps, {features.name} has log-mel maps alone"
    if maps == "level":
        return f"ablate=level: expected features with direction maps, {features.name} has log-mel maps alone"
    return f"ablate={maps}: expected features with log-mels of W, Y, Z and X, {features.name} has none of Y, Z and X"
