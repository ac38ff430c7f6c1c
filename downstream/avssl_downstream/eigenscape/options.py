"""What the head `eigenscape` can be told."""

from __future__ import annotations

from dataclasses import dataclass

from avssl.config import choice
from avssl.data.clip_options import Reading
from avssl.datasets.layouts.eigenscape import CHANNELS, FOLDS, EigenScapeOptions
from avssl.errors import InputError
from avssl.models.geometry import resolved
from avssl_downstream.classification.options import LAYERS, POOLS, SegmentOptions

BASELINES = ("random", "logmel", "dirac_gmm")


@dataclass(frozen=True)
class EigenscapeOptions(SegmentOptions):
    """Segments, folds and baselines; segments are those of the data set's own evaluation, on fixed folds."""

    segment: float = 30.0
    """Seconds of a segment."""
    pool: str = choice("mean+std", POOLS)
    """How the windows' embeddings become a segment's: mean, mean+max or mean+std."""
    turns: int = 4
    """Of frozen embeddings: headings, evenly spread, from which a window is heard; their mean counts. 1: one, as
    published. Encoders that know from where a sound comes take it for the scene: recordings face anywhere."""
    layer: str = choice("early", LAYERS)
    """Of frozen embeddings: early (maps of the tower's first block, their mean and maximum over time in eight bands) or
    embedding, as published. The last layers of encoders that know directions know little else."""
    folds: str = choice("fixed", FOLDS)
    """fixed (recordings 1 and 2, 3 and 4, ...), leave-one-out (each recording number) or seeded (the original's)."""
    swap_park: bool = False
    """Take recording 6 of the class Park for 8, and 8 for 6: they are exchanged between the raw set and this one."""
    baselines: list[str] = choice(BASELINES, BASELINES)
    """Rows beside the encoders': random (the same towers from random weights, fine-tuned if the encoders are), logmel
    (statistics of the spectrum) and dirac_gmm (the data set's own system)."""
    legacy: bool = False
    """dirac_gmm with both faults of the published code: X one sample late, inclination for elevation."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if self.turns < 1:
            raise InputError(f"turns is at least 1, not {self.turns}")
        self.layout_options()

    def layout_options(self) -> EigenScapeOptions:
        """Segments and folds of the recordings."""
        return EigenScapeOptions(self.segment, self.folds, self.seed, self.swap_park, self.missing)

    def reading(self) -> Reading:
        """How a window is read."""
        return Reading(resolved(self.window), channels=CHANNELS)
