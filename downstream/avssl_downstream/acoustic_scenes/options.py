"""Options of the heads that classify acoustic scenes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from avssl.config import PRECISIONS, OptimConfig, check_choices, check_range, choice
from avssl.data.window_reader import Reading
from avssl.datasets.layouts.tau import SECONDS
from avssl.errors import InputError
from avssl.models.encoders import Encoders
from avssl.models.geometry import resized, resolve_geometry, resolved
from avssl_downstream.acoustic_scenes.feature_ablation import ABLATIONS, ALL
from avssl_downstream.classification import CLASSIFIERS
from avssl_downstream.classification.segment_pooling import POOLS

MODES = ("frozen", "finetune")
TOWERS = ("audio", "video", "both")
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


@dataclass(frozen=True)
class ScenesOptions(SegmentOptions):
    """Options of the head `scenes`; windows and frames default to the geometry of the encoders."""

    tower: str = choice("both", TOWERS)
    """audio, video or both."""
    segment: float = SECONDS
    """Seconds of a file."""
    frames: int | None = None
    """Frames of a window; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    resize: int | None = None
    """Pixels; shorter side that frames are scaled to before the centre crop. None: 8/7 of `size`."""
    size: int | None = None
    """Pixels; side of the centre crop. None: as the encoders were trained."""
    upmix: bool = False
    """Let encoders of ambisonics hear stereo: W = (L + R) / 2, Y = (L - R) / 2, nothing in Z and X."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if not self.segment > 0:
            raise InputError(f"segment is a length above 0 seconds, not {self.segment}")
        for name in ("frames", "frame_rate"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{name} must be positive, not {value}")
        if self.size is not None and self.resize is not None:
            Reading(resize=self.resize, size=self.size)

    @property
    def towers(self) -> tuple[str, ...]:
        """Which of audio and video are used."""
        return ("audio", "video") if self.tower == "both" else (self.tower,)

    def with_geometry(self, encoders: Encoders | None) -> Self:
        """The options with the encoders' own geometry where none is set; frames count with the tower video alone.

        Raises:
            InputError: neither gives it.
        """
        own = super().with_geometry(encoders)
        if encoders is None or "video" not in self.towers:
            return own
        own = resolve_geometry(own, encoders.geometry, {name: name for name in ("frames", "frame_rate", "size")})
        return replace(own, resize=resized(resolved(own.size)) if own.resize is None else own.resize)

    def reading(self, encoders: Encoders | None = None) -> Reading:
        """How a window is read for these encoders."""
        upmix = self.upmix and encoders is not None and 2 not in encoders.features.accepted
        window = resolved(self.window)
        if "video" not in self.towers:
            return Reading(window, upmix=upmix)
        frames, rate, resize = resolved(self.frames), resolved(self.frame_rate), resolved(self.resize)
        return Reading(window, frames, rate, resize, resolved(self.size), upmix=upmix)
