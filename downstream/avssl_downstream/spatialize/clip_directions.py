"""Directions of generated and of true sound of every clip of an evaluation, beside its energy explained."""

# C channels, S samples

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from avssl.datasets.audio_stats import HIGH, LOW
from avssl.datasets.manifest import Manifest, Row
from avssl.runs.evaluated_clips import EvaluatedClip, EvaluatedClips
from avssl.spatial.ambisonics import intensity_direction
from avssl_downstream.spatialize.evaluation_rows import MODEL
from avssl_downstream.spatialize.metrics import ENERGY, ERROR, EXPLAINED, Metrics
from avssl_downstream.spatialize.oracles import Outputs


class _Directions(NamedTuple):
    """Azimuth and elevation in degrees; nan of binaural audio and of silence."""

    true: tuple[float, float]
    generated: tuple[float, float]


class ClipDirections:
    """Collects clips.

    Args:
        sample_rate: Hz of the audio.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._found: dict[str, _Directions] = {}

    def add(self, row: Row, outputs: Outputs, target: Tensor) -> None:
        """Add a clip: its outputs by method and its true audio `(C, S)`."""
        self._found[row.key] = _Directions(self._direction(target), self._direction(outputs[MODEL]))

    def evaluated(self, clips: Manifest, by_clip: Mapping[str, Mapping[str, Metrics]]) -> EvaluatedClips:
        """The clips with the energy explained of each as score.

        Args:
            clips: of the evaluation.
            by_clip: row -> key of a clip -> its metrics.
        """
        found = tuple(
            EvaluatedClip(
                row.key, _explained(by_clip[MODEL][row.key]), video=row.video, audio=row.audio, start=row.start,
                seconds=row.seconds, azimuth=each.true[0], elevation=each.true[1],
                predicted_azimuth=each.generated[0], predicted_elevation=each.generated[1],
            )
            for row in clips
            if (each := self._found.get(row.key)) is not None
        )  # fmt: skip
        return EvaluatedClips(found, clips.root, EXPLAINED)

    def _direction(self, audio: Tensor) -> tuple[float, float]:
        if len(audio) == 2:
            return math.nan, math.nan
        azimuth, elevation, _ = intensity_direction(
            audio[:4].float(), self.sample_rate, LOW, min(HIGH, self.sample_rate / 2)
        )
        return math.degrees(azimuth), math.degrees(elevation)


def _explained(metrics: Metrics) -> float:
    return 1 - metrics[ERROR] / metrics[ENERGY] if metrics[ENERGY] > 0 else math.nan
