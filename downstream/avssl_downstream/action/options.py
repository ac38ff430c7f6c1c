"""Options of the head `action`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from avssl.config import PRECISIONS, OptimConfig, TrainConfig, check_choices, check_range
from avssl.config_fields import choice, plugin_name
from avssl.data.clip_options import Colour, Reading
from avssl.errors import InputError
from avssl.models.geometry import resized, resolve_geometry, resolved
from avssl.plugins import LAYOUTS
from avssl_downstream.classification.options import CLASSIFIERS

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

AUTO = "auto"
MODES = ("frozen", "finetune")
SINGLE_FRAME_RATE = 1e7
"""Frames per second at which all frames of a window are the same one."""


def _adam() -> OptimConfig:
    """Optimiser of Morgado 2020: learning rate times 0.3 after epochs 8, 12 and 16 of 20."""
    steps = {"schedule": "steps", "milestones": [0.4, 0.6, 0.8], "factor": 0.3}
    return OptimConfig(lr=1e-4, weight_decay=0.0, decoupled=False, **steps)  # type: ignore[arg-type]


@dataclass(frozen=True)
class ActionOptions:
    """Data, clips, classifier, fine-tuning; defaults are AVSA's, except geometry and the frozen classifier."""

    root: str = ""
    """The data set's folder; empty: synthetic actions, rendered on first use."""
    layout: str = plugin_name(AUTO, LAYOUTS, besides=(AUTO,))
    """Directory layout of the data set: ucf101, hmdb51, folders (one a class), or another of labelled videos; auto:
    detected. Synthetic actions have ucf101 (auto) or hmdb51."""
    split: int = 1
    """Number of the official split; 0: all, with their mean and deviation."""
    missing: float = 0.0
    """Largest share of listed files that may be missing."""
    test_share: float = 0.25
    """Share of test videos in folders without a split."""
    groups: int = 25
    """Synthetic actions: recordings of each class."""
    synthetic_seed: int = 0
    """Synthetic actions: seed."""
    mode: str = choice("frozen", MODES)
    """frozen (a classifier on cached embeddings) or finetune (the tower is trained too)."""
    from_scratch: bool = False
    """Random weights in the same architecture: baseline without pretraining."""
    single_frame: bool = False
    """Repeat one frame of each clip: baseline without motion."""
    frames: int | None = None
    """Frames of a clip; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    size: int | None = None
    """Side of the square input in pixels; None: as the encoders were trained."""
    resize: int | None = None
    """Shorter side in pixels before the centre crop, not in fine-tuning; None: 8/7 of `size`."""
    test_clips: int = 25
    """Clips of a test video, evenly spaced; its probabilities are their mean."""
    train_clips: int = 0
    """Clips of a training video: evenly spaced if frozen, else random in each epoch; 0: 10 for HMDB51, else 5."""
    classifier: str = choice("logistic", CLASSIFIERS)
    """Classifier of frozen embeddings: logistic, svm or knn."""
    C: float = 0.01
    """Inverse regularisation strength of logistic and svm (scikit-learn's C)."""
    neighbours: int = 5
    """Number of neighbours of knn."""
    epochs: int = 20
    """Fine-tuning: epochs of `train_clips` clips a video."""
    batch: int = 28
    """Fine-tuning: clips a step."""
    dropout: float = 0.5
    """Fine-tuning: dropout of the embedding before the classifier."""
    optim: OptimConfig = field(default_factory=_adam)
    """Fine-tuning: optimiser; `lr_multipliers` scales the learning rate of parts such as towers."""
    min_crop_area: float = 0.08
    """Fine-tuning: smallest random crop, as a share of the frame's area."""
    flip: float = 0.5
    """Fine-tuning: probability of mirroring a clip."""
    colour: Colour = field(default_factory=Colour)
    """Fine-tuning: colour jitter."""
    save_every: int = 500
    """Fine-tuning: steps between checkpoints."""
    precision: str = choice("auto", PRECISIONS)
    """Precision of the tower, as in `TrainConfig`."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seed of random weights, random clips, splits of folders, resampling."""
    title: str = ""
    """Title of the row in `avssl report`; empty: data, features and mode."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> published value."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "action")
        for name in ("missing", "test_share", "min_crop_area", "flip"):
            check_range("action", name, getattr(self, name), 0.0, 1.0)
        for name in ("frame_rate", "C", "min_crop_area"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"action.{name}: expected a number above 0, got {getattr(self, name)}")
        for name in ("frames", "size", "resize", "test_clips", "neighbours", "epochs", "batch", "save_every", "groups"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"action.{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("split", "train_clips", "workers", "seed", "synthetic_seed"):
            if getattr(self, name) < 0:
                raise InputError(f"action.{name}: expected 0 or more, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"action.dropout: expected 0 <= dropout < 1, got {self.dropout}")
        if self.size is not None and self.resize is not None:
            Reading(resize=self.resize, size=self.size)

    def with_geometry(self, encoders: Encoders) -> ActionOptions:
        """Fill in unset geometry from the encoders.

        Raises:
            InputError: neither the options nor the encoders have it.
        """
        names = {name: name for name in ("frames", "frame_rate", "size")}
        own = resolve_geometry(self, encoders.geometry, names)
        return replace(own, resize=resized(resolved(own.size)) if own.resize is None else own.resize)

    def reading(self) -> Reading:
        """How an evenly spaced clip is read."""
        rate = SINGLE_FRAME_RATE if self.single_frame else resolved(self.frame_rate)
        size, resize = resolved(self.size), resolved(self.resize)
        return Reading(frames=resolved(self.frames), frame_rate=rate, resize=resize, size=size)

    def training(self, steps: int) -> TrainConfig:
        """Training configuration of fine-tuning."""
        return TrainConfig(steps, self.seed, self.precision, save_every=self.save_every, show_every=steps)
