"""Options shared by heads that classify segments of recordings; importing them imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from avssl.config import PRECISIONS, OptimConfig, check_choices, check_range, choice
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
"""Each of them that takes something away, leaves something, and is no other one again."""
MODES = ("frozen", "finetune")
BASELINES = ("random", "logmel")
BASELINE_SECONDS = 1.0
"""Window of the baselines where there are no encoders."""


@dataclass(frozen=True)
class SegmentOptions:
    """How segments of any data set are embedded and classified."""

    root: str = ""
    """The data set's folder; empty: a built-in stand-in of its shape."""
    mode: str = choice("frozen", MODES)
    """frozen (embeddings computed once, and a classifier) or finetune (the towers are trained too)."""
    window: float | None = None
    """Seconds of audio in one embedding; None: as the encoders were trained, 1 s without encoders."""
    hop: float | None = None
    """Seconds between the windows of a segment; None: the length of a window."""
    pool: str = choice("mean", POOLS)
    """How the windows' embeddings become a segment's: mean, mean+max or mean+std."""
    classifier: str = choice("logistic", CLASSIFIERS)
    """logistic, svm or knn."""
    C: float = 0.01
    """Inverse of the regularisation of logistic and svm."""
    neighbours: int = 5
    """Of knn."""
    baselines: list[str] = choice(BASELINES, BASELINES)
    """Rows beside the encoders': random (the same towers from random weights, fine-tuned if the encoders are), logmel
    (statistics of the spectrum)."""
    ablate: str = choice("", ("", *ABLATIONS, ALL))
    """Of frozen embeddings: maps of the sound tower's input that are silenced in two further rows: iv (direction),
    level (log-mels), dipoles (log-mels of Y, Z, X), space (all but W's log-mel), or all of these that there are."""
    missing: float = 0.0
    """So large a share of the files that the data set names may be missing."""
    epochs: int = 10
    """Of fine-tuning: passes over the segments."""
    draws: int = 4
    """Of fine-tuning: windows drawn of a segment in one pass."""
    batch: int = 32
    """Of fine-tuning: windows a step."""
    dropout: float = 0.5
    """Of fine-tuning: share of the embedding dropped."""
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(schedule="cosine"))
    """Of fine-tuning."""
    precision: str = choice("bf16-mixed", PRECISIONS)
    """In which the towers run; Lightning Fabric's name."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seeds random encoders, shuffled folds, classifiers, fine-tuning, resampling."""
    title: str = ""
    """What `avssl report` calls the row; empty: made from the features."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> the paper's number for this row."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self)
        if self.ablate and self.mode == "finetune":
            raise InputError(f"ablate={self.ablate} is of frozen embeddings, leave it out with mode=finetune")
        check_range("acoustic-scenes", "missing", self.missing, 0.0, 1.0)
        for name in ("window", "hop", "C", "neighbours", "epochs", "draws", "batch"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        if self.seed < 0 or self.workers < 0 or not 0 <= self.dropout < 1:
            values = f"{self.seed}, {self.workers} and {self.dropout}"
            raise InputError(f"seed and workers are not negative and 0 <= dropout < 1, they are {values}")

    @property
    def towers(self) -> tuple[str, ...]:
        """Which of audio and video are used."""
        return ("audio",)

    def with_geometry(self, encoders: Encoders | None) -> Self:
        """The options with the encoders' own geometry where none is set; without encoders a window of 1 s.

        Raises:
            InputError: neither gives it.
        """
        own = self
        if encoders is not None:
            own = resolve_geometry(self, encoders.geometry, {"window": "seconds"})
        window = BASELINE_SECONDS if own.window is None else own.window
        return replace(own, window=window, hop=window if own.hop is None else own.hop)
