"""What the head `action` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from avssl.config import PRECISIONS, OptimConfig, TrainConfig, check_choices, check_range, choice, plugin_name
from avssl.data.clip_options import Colour, Reading
from avssl.errors import InputError
from avssl.models.geometry import resized, resolve_geometry, resolved
from avssl.plugins import LAYOUTS
from avssl_downstream.classification.options import CLASSIFIERS

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

AUTO = "auto"
MODES = ("frozen", "finetune")
STILL = 1e7
"""Pictures a second at which a window is one instant."""


def _adam() -> OptimConfig:
    """Morgado 2020's: rates times 0.3 after epochs 8, 12 and 16 of 20."""
    steps = {"schedule": "steps", "milestones": [0.4, 0.6, 0.8], "factor": 0.3}
    return OptimConfig(lr=1e-4, weight_decay=0.0, decoupled=False, **steps)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ActionOptions:
    """Data, clips, classifier, fine-tuning; defaults are AVSA's, but for geometry and frozen classifier."""

    root: str = ""
    """The data set's folder; empty: the built-in actions."""
    layout: str = plugin_name(AUTO, LAYOUTS, besides=(AUTO,))
    """Directory layout of the data set: ucf101, hmdb51, folders (one a class), or another of labelled videos; auto: the
    one that the folder has. Layout of the built-in actions: ucf101 (auto) or hmdb51."""
    split: int = 1
    """Which of the official splits; 0: all, and their mean and deviation."""
    missing: float = 0.0
    """So large a share of the files that the lists name may be missing."""
    test_share: float = 0.25
    """Share of the videos tested, of folders that are not split already."""
    groups: int = 25
    """Of the built-in actions: recordings of each class."""
    synthetic_seed: int = 0
    """Of the built-in actions."""
    mode: str = choice("frozen", MODES)
    """frozen (embeddings computed once, and a classifier) or finetune (the tower is trained too)."""
    from_scratch: bool = False
    """Random weights in the same architecture: what pretraining must beat."""
    single_frame: bool = False
    """Show one picture of each clip, again and again: what motion must beat."""
    frames: int | None = None
    """Frames of a clip; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    size: int | None = None
    """Pixels; side of the square that the tower takes. None: as the encoders were trained."""
    resize: int | None = None
    """Pixels; shorter side of frames before the centre crop, not in fine-tuning. None: 8/7 of `size`."""
    test_clips: int = 25
    """Clips of a tested video, evenly spread; its probabilities are their mean."""
    train_clips: int = 0
    """Clips of a training video: evenly spread if frozen, else drawn each epoch; 0: 10 of HMDB51, else 5."""
    classifier: str = choice("logistic", CLASSIFIERS)
    """Of frozen embeddings: logistic, svm or knn."""
    C: float = 0.01
    """Inverse of the regularisation of logistic and svm."""
    neighbours: int = 5
    """Of knn."""
    epochs: int = 20
    """Of fine-tuning: each shows every video `train_clips` times."""
    batch: int = 28
    """Of fine-tuning: clips a step."""
    dropout: float = 0.5
    """Of fine-tuning: share of the embedding dropped before the classifier."""
    optim: OptimConfig = field(default_factory=_adam)
    """Of fine-tuning; `shares` gives parts, such as towers, a share of the rate."""
    min_crop_area: float = 0.08
    """Of fine-tuning: least share of a picture that is cut out."""
    flip: float = 0.5
    """Of fine-tuning: share of clips that are mirrored."""
    colour: Colour = field(default_factory=Colour)
    """Of fine-tuning: how much colours vary."""
    save_every: int = 500
    """Of fine-tuning: steps between checkpoints."""
    precision: str = choice("bf16-mixed", PRECISIONS)
    """In which the tower runs; Lightning Fabric's name."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seeds random weights, drawn clips, folders' splits, resampling."""
    title: str = ""
    """What `avssl report` calls the row; empty: made from data, features and mode."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> the paper's number for this row."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self, "action")
        for name in ("missing", "test_share", "min_crop_area", "flip"):
            check_range("action", name, getattr(self, name), 0.0, 1.0)
        for name in ("frame_rate", "C", "min_crop_area"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"action.{name} must be positive, not {getattr(self, name)}")
        for name in ("frames", "size", "resize", "test_clips", "neighbours", "epochs", "batch", "save_every", "groups"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"action.{name} is at least 1, not {getattr(self, name)}")
        for name in ("split", "train_clips", "workers", "seed", "synthetic_seed"):
            if getattr(self, name) < 0:
                raise InputError(f"action.{name} must not be negative, it is {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"action.dropout is from 0 to below 1, not {self.dropout}")
        if self.size is not None and self.resize is not None:
            Reading(resize=self.resize, size=self.size)

    def with_geometry(self, encoders: Encoders) -> ActionOptions:
        """The options with the encoders' own geometry where none is set.

        Raises:
            InputError: neither gives it.
        """
        names = {name: name for name in ("frames", "frame_rate", "size")}
        own = resolve_geometry(self, encoders.geometry, names)
        return replace(own, resize=resized(resolved(own.size)) if own.resize is None else own.resize)

    def reading(self) -> Reading:
        """How a clip is read where nothing is drawn."""
        rate = STILL if self.single_frame else resolved(self.frame_rate)
        size, resize = resolved(self.size), resolved(self.resize)
        return Reading(frames=resolved(self.frames), frame_rate=rate, resize=resize, size=size)

    def training(self, steps: int) -> TrainConfig:
        """Length and intervals of fine-tuning."""
        return TrainConfig(steps, self.seed, self.precision, save_every=self.save_every, show_every=steps)
