"""Options shared by heads that classify segments of recordings; importing them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from avssl.config import PRECISIONS, OptimConfig, check_choices, check_range
from avssl.config_fields import choice
from avssl.errors import InputError
from avssl.models.geometry import resolve_geometry

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

CLASSIFIERS = ("logistic", "svm", "knn")
POOLS = ("mean", "mean+max", "mean+std")
"""Statistics over the embeddings of a segment's windows."""
LAYERS = ("embedding", "early")
ABLATIONS = ("iv", "level", "dipoles", "space")
ALL = "all"
"""Every ablation that removes some but not all maps, without duplicates."""
MODES = ("frozen", "finetune")
BASELINES = ("random", "logmel")
BASELINE_SECONDS = 1.0
"""Window in seconds of the baselines without encoders."""


@dataclass(frozen=True)
class SegmentOptions:
    """Embedding and classification of segments of recordings."""

    root: str = ""
    """The data set's folder; empty: a synthetic dataset in its layout."""
    mode: str = choice("frozen", MODES)
    """frozen (a classifier on cached embeddings) or finetune (the towers are trained too)."""
    window: float | None = None
    """Seconds of audio in one embedding; None: as the encoders were trained, 1 s without encoders."""
    hop: float | None = None
    """Seconds between the windows of a segment; None: the length of a window."""
    pool: str = choice("mean", POOLS)
    """Pooling of window embeddings to a segment embedding: mean, mean+max or mean+std."""
    classifier: str = choice("logistic", CLASSIFIERS)
    """logistic, svm or knn."""
    C: float = 0.01
    """Inverse regularisation strength of logistic and svm (scikit-learn's C)."""
    neighbours: int = 5
    """Number of neighbours of knn."""
    baselines: list[str] = choice(BASELINES, BASELINES)
    """Further rows: random (the same towers with random weights, fine-tuned if the encoders are), logmel (statistics
    of the log-mel spectrogram)."""
    ablate: str = choice("", ("", *ABLATIONS, ALL))
    """Feature ablation of frozen embeddings, in two further rows: iv (intensity vectors), level (log-mels), dipoles
    (log-mels of Y, Z, X), space (all but W's log-mel), or all of these that apply."""
    missing: float = 0.0
    """Largest share of listed files that may be missing."""
    epochs: int = 10
    """Fine-tuning: passes over the segments."""
    draws: int = 4
    """Fine-tuning: random windows of each segment in one pass."""
    batch: int = 32
    """Fine-tuning: windows a step."""
    dropout: float = 0.5
    """Fine-tuning: dropout of the embedding."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(schedule="cosine"))
    """Fine-tuning: optimiser."""
    precision: str = choice("auto", PRECISIONS)
    """Precision of the towers, as in `TrainConfig`."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seed of random encoders, shuffled folds, classifiers, fine-tuning, resampling."""
    title: str = ""
    """Title of the row in `avssl report`; empty: data set, features and mode."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> published value."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self)
        if self.ablate and self.mode == "finetune":
            raise InputError(f"ablate={self.ablate} requires mode=frozen, got mode=finetune; leave ablate out")
        check_range("acoustic-scenes", "missing", self.missing, 0.0, 1.0)
        for name in ("window", "hop", "C", "neighbours", "epochs", "draws", "batch"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if self.seed < 0 or self.workers < 0 or not 0 <= self.dropout < 1:
            values = f"{self.seed}, {self.workers} and {self.dropout}"
            raise InputError(f"expected seed >= 0, workers >= 0 and 0 <= dropout < 1, got {values}")

    @property
    def towers(self) -> tuple[str, ...]:
        """Towers in use: audio, video or both."""
        return ("audio",)

    def with_geometry(self, encoders: Encoders | None) -> Self:
        """Fill in unset geometry from the encoders; without encoders the window is 1 s.

        Raises:
            InputError: neither the options nor the encoders have it.
        """
        own = self
        if encoders is not None:
            own = resolve_geometry(self, encoders.geometry, {"window": "seconds"})
        window = BASELINE_SECONDS if own.window is None else own.window
        return replace(own, window=window, hop=window if own.hop is None else own.hop)
