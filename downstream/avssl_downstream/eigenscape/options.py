"""Options of the head `eigenscape`."""

from __future__ import annotations

from dataclasses import dataclass

from avssl.config_fields import choice
from avssl.data.clip_options import Reading
from avssl.datasets.layouts.eigenscape import CHANNELS, FOLDS, EigenScapeOptions
from avssl.errors import InputError
from avssl.models.geometry import resolved
from avssl_downstream.classification.options import LAYERS, POOLS, SegmentOptions

BASELINES = ("random", "logmel", "dirac_gmm")


@dataclass(frozen=True)
class EigenscapeOptions(SegmentOptions):
    """Segments, folds, pooling and baselines; segments as published with the data set, on fixed folds."""

    segment: float = 30.0
    """Segment length in seconds."""
    pool: str = choice("mean+std", POOLS)
    """Pooling of window embeddings to a segment embedding: mean, mean+max or mean+std."""
    rotations: int = 4
    """Frozen embeddings: mean over this many yaw rotations of a window, evenly spaced; 1: none, as published. Averaging
    keeps the classifier from overfitting to directions, as recordings have any orientation."""
    layer: str = choice("early", LAYERS)
    """Frozen embeddings: early (maps of the tower's first block, mean and maximum over time in eight bands) or
    embedding (tower output), as published. The last layers mostly encode direction."""
    folds: str = choice("fixed", FOLDS)
    """fixed (recordings 1 and 2, 3 and 4, ...), leave-one-out (each recording number) or seeded (the original's)."""
    swap_park: bool = False
    """Swap recordings 6 and 8 of the class Park, which differ between the raw and the ambisonic data set."""
    baselines: list[str] = choice(BASELINES, BASELINES)
    """Further rows: random (the same towers with random weights, fine-tuned if the encoders are), logmel (statistics
    of the log-mel spectrogram) and dirac_gmm (the baseline published with the data set)."""
    legacy: bool = False
    """dirac_gmm with both errors of the published code: X one sample late, inclination instead of elevation."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if self.rotations < 1:
            raise InputError(f"rotations: expected 1 or more, got {self.rotations}")
        self.layout_options()

    def layout_options(self) -> EigenScapeOptions:
        """Segments and folds of the recordings."""
        return EigenScapeOptions(self.segment, self.folds, self.seed, self.swap_park, self.missing)

    def reading(self) -> Reading:
        """How a window is read."""
        return Reading(resolved(self.window), channels=CHANNELS)
