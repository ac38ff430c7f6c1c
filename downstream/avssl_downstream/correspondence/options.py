"""What the correspondence head can be told."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from avssl.config import PRECISIONS, DataConfig, OptimConfig, check_choices, choice
from avssl.data.clip_options import CropOptions, check_crop_guide
from avssl.errors import InputError
from avssl.models.geometry import resolve_geometry, resolved

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

MISALIGNMENTS = ("yaw", "pitch-yaw", "any")
GEOMETRY = {name: name for name in ("seconds", "frames", "frame_rate", "size", "min_fov", "max_fov")}
"""Option -> field of the encoders' geometry that it defaults to."""


def _decaying() -> OptimConfig:
    return OptimConfig(lr=1e-3, weight_decay=1e-2, schedule="cosine")


@dataclass(frozen=True)
class CorrespondenceOptions(CropOptions):
    """Crops, misalignment and probe.

    Crops and misalignment default to what Morgado 2020 published. So does the probe, but for its optimiser: published
    are some 100,000 draws an epoch, a thousand clips need larger steps. The recipe `avsa/full` has the published one.
    """

    manifest: str = ""
    """A `manifest.parquet` or its folder, with clips of split train and of split test."""
    detector: str = ""
    """Whose objects guide crops, if `crop_guide` is objects: a model's path or name, truth (of a made-up world)."""
    seconds: float | None = None
    """Seconds of audio read for one draw; None: as the encoders were trained."""
    frames: int | None = None
    """Frames read for one draw, from within the seconds of audio; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    size: int | None = None  # type: ignore[assignment]
    """Pixels of a side; None: as the encoders were trained."""
    min_fov: float | None = None  # type: ignore[assignment]
    """Degrees; least horizontal field of view. None: as the encoders were trained."""
    max_fov: float | None = None  # type: ignore[assignment]
    """Degrees; largest horizontal field of view. None: as the encoders were trained."""
    transformer: str = ""
    """Run folder of `avsa` with transformers, or its `task.safetensors`: further probes get, instead of a crop's
    embedding, the sound that its transformer predicts from all crops (published as transf)."""
    train_draws: int = 8
    """Draws of each training clip: instant, crops, misalignment."""
    test_draws: int = 4
    """Draws of each test clip."""
    per_window: int = 2
    """Draws that share one instant, so that it is read once."""
    misalignment: str = choice("yaw", MISALIGNMENTS)
    """How the sound of half of AVSA-Bin's draws is turned: yaw, pitch-yaw or any."""
    least_misalignment: float = 0.0
    """Degrees; least angle of that turn. 0 as published: some turns are too small to be noticed by anyone."""
    hidden: int = 512
    """Units of the probe's hidden layer."""
    dropout: float = 0.5
    """Share of them dropped in training."""
    epochs: int = 20
    """Passes over the training draws."""
    batch: int = 32
    """Draws a step."""
    avc: OptimConfig = field(default_factory=_decaying)
    """How AVC-Bin's probe is trained."""
    avsa: OptimConfig = field(default_factory=_decaying)
    """How AVSA-Bin's probe is trained."""
    projection: int = 128
    """Numbers of the linear projections that are compared in retrieval."""
    temperature: float = 0.07
    """Divides the cosines of the projections in training."""
    retrieval_batch: int = 256
    """Clips a step of the projections, or as many as there are."""
    retrieval: OptimConfig = field(default_factory=_decaying)
    """How the projections are trained."""
    bootstrap: int = 2000
    """Resamplings of the test clips for the confidence intervals."""
    precision: str = choice("bf16-mixed", PRECISIONS)
    """In which the towers run; Lightning Fabric's name."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seeds draws, weights, resampling."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self)
        self._check_crops()
        if None not in (self.seconds, self.frames, self.frame_rate):
            self.data()
        check_crop_guide(self, self.detector)
        for name in ("train_draws", "test_draws", "per_window", "hidden", "epochs", "batch", "bootstrap", "projection"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.retrieval_batch < 2 or not self.temperature > 0:
            values = f"{self.retrieval_batch} and {self.temperature}"
            raise InputError(f"expected retrieval_batch >= 2 and temperature > 0, got {values}")
        if not (0 <= self.least_misalignment < 180 and 0 <= self.dropout < 1):
            values = f"{self.least_misalignment} and {self.dropout}"
            raise InputError(f"0 <= least_misalignment < 180 degrees and 0 <= dropout < 1, not {values}")
        if self.seed < 0:
            raise InputError(f"seed must not be negative, it is {self.seed}")

    def _check_crops(self) -> None:
        """Validate those of `CropOptions`, with defaults in place of the encoders' geometry."""
        fov = {"min_fov": self.min_fov or self.max_fov, "max_fov": self.max_fov or self.min_fov}
        given = {each.name: getattr(self, each.name) for each in fields(CropOptions)} | fov
        CropOptions(**{name: value for name, value in given.items() if value is not None})

    def with_geometry(self, encoders: Encoders) -> CorrespondenceOptions:
        """The options with the encoders' own geometry where none is set.

        Raises:
            InputError: neither gives it, or crops that do not fit beside one another.
        """
        return resolve_geometry(self, encoders.geometry, GEOMETRY)

    def data(self) -> DataConfig:
        """How windows are read: one by one, so that every clip comes equally often."""
        return DataConfig(
            manifest=self.manifest,
            detector=self.detector,
            seconds=resolved(self.seconds),
            frames=resolved(self.frames),
            frame_rate=resolved(self.frame_rate),
            batch=1,
            workers=self.workers,
        )
