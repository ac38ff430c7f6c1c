"""What heads that recognise scenes can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from avssl.errors import InputError

from avssl.config import PRECISIONS, OptimConfig, check_choices, check_range, choice
from avssl.data.window_reader import Reading
from avssl.datasets.layouts.tau import SECONDS
from avssl.models.encoders import Encoders
from avssl_downstream.acoustic_scenes.feature_ablation import ABLATIONS, ALL
from avssl_downstream.classification import CLASSIFIERS
from avssl_downstream.classification.segment_pooling import POOLS

MODES = ("frozen", "finetune")
TOWERS = ("audio", "video", "both")
BASELINES = ("random", "logmel")


@dataclass(frozen=True)
class SegmentOptions:
    """How segments are embedded and told apart, whatever the data set."""

    root: str = ""
    """The data set's folder; empty: a built-in stand-in of its shape."""
    mode: str = choice("frozen", MODES)
    """frozen (embeddings computed once, and a classifier) or finetune (the towers are trained too)."""
    window: float = 1.0
    """Seconds of sound in one embedding."""
    hop: float = 1.0
    """Seconds between the windows of a segment."""
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
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        if self.seed < 0 or self.workers < 0 or not 0 <= self.dropout < 1:
            values = f"{self.seed}, {self.workers} and {self.dropout}"
            raise InputError(f"seed and workers are not negative and 0 <= dropout < 1, they are {values}")

    @property
    def towers(self) -> tuple[str, ...]:
        """Which of audio and video are used."""
        return ("audio",)


@dataclass(frozen=True)
class ScenesOptions(SegmentOptions):
    """What the head `scenes` can be told; window and pictures default to what AVSA's encoders were trained on."""

    tower: str = choice("both", TOWERS)
    """audio, video or both."""
    segment: float = SECONDS
    """Seconds of a file."""
    frames: int = 8
    """Pictures of a window."""
    frame_rate: float = 16.0
    """Pictures a second."""
    resize: int = 128
    """Rows and columns that pictures are scaled to, the shorter of both."""
    size: int = 112
    """Rows and columns of the middle that is looked at."""
    upmix: bool = False
    """Let encoders of ambisonics hear stereo: W = (L + R) / 2, Y = (L - R) / 2, nothing in Z and X."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if not self.segment > 0:
            raise InputError(f"segment is a length above 0 seconds, not {self.segment}")
        self.reading()

    @property
    def towers(self) -> tuple[str, ...]:
        """Which of audio and video are used."""
        return ("audio", "video") if self.tower == "both" else (self.tower,)

    def reading(self, encoders: Encoders | None = None) -> Reading:
        """How a window is read for these encoders."""
        upmix = self.upmix and encoders is not None and 2 not in encoders.features.accepted
        return Reading(self.window, self.frames, self.frame_rate, self.resize, self.size, upmix=upmix)
