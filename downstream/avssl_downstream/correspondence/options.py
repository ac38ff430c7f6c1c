"""Options of the head `correspondence`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from avssl.config import PRECISIONS, DataConfig, OptimConfig, check_choices
from avssl.config_fields import choice
from avssl.data.clip_options import CROP_GUIDES, CropOptions, check_crop_guide
from avssl.errors import InputError
from avssl.models.geometry import resolve_geometry, resolved

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

BOTH = "both"
"""Value of `crop_guide`: random crops, then crops guided by objects."""
MISALIGNMENTS = ("yaw", "pitch-yaw", "any")
GEOMETRY = {name: name for name in ("seconds", "frames", "frame_rate", "size", "min_fov", "max_fov")}
"""Option -> field of the encoders' geometry that is its default."""


def _decaying() -> OptimConfig:
    return OptimConfig(lr=1e-3, weight_decay=1e-2, schedule="cosine")


@dataclass(frozen=True)
class CorrespondenceOptions(CropOptions):
    """Crops, misalignment, probes and projections.

    Defaults are those of Morgado 2020 except the probe's optimiser: its published steps suit 100,000 draws an epoch, a
    thousand clips need larger ones. The recipe `avsa/full` has the published optimiser.
    """

    manifest: str = ""
    """Path of a `manifest.parquet` or its folder, with clips of the splits train and test."""
    test_manifest: str = ""
    """Path of another manifest whose clips of the split test are evaluated; empty: those of `manifest`."""
    detector: str = ""
    """Detector whose objects guide crops unless `crop_guide` is random: path or name of a model, or truth."""
    crop_guide: str = choice("random", (*CROP_GUIDES, BOTH))
    """random; objects: each shows another detected object, highest score first, then random; or both: probes of random
    crops, and others of guided ones, whose metrics begin with `guided_`."""
    seconds: float | None = None
    """Seconds of audio read for one draw; None: as the encoders were trained."""
    frames: int | None = None
    """Frames read for one draw, within the seconds of audio; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    size: int | None = None  # type: ignore[assignment]
    """Side of a crop in pixels; None: as the encoders were trained."""
    min_fov: float | None = None  # type: ignore[assignment]
    """Smallest horizontal field of view in degrees; None: as the encoders were trained."""
    max_fov: float | None = None  # type: ignore[assignment]
    """Largest horizontal field of view in degrees; None: as the encoders were trained."""
    transformer: str = ""
    """Run folder of `avsa` with transformers, or its `task.safetensors`: further probes take the audio embedding that
    its transformer predicts from all crops instead of a crop's embedding (published as transf)."""
    projections: str = ""
    """Run folder of `avc`, `avsa` or another task with projections: AVC-Bin and AVSA-Bin also without a trained probe,
    by a threshold on the mean cosine of what pretraining compared (`avc_bin_cosine`, `avsa_bin_cosine`)."""
    train_draws: int = 8
    """Draws of each training clip: window, crops, misalignment."""
    test_draws: int = 4
    """Draws of each test clip."""
    per_window: int = 2
    """Draws that share one window, which is read once."""
    misalignment: str = choice("yaw", MISALIGNMENTS)
    """Rotation of the sound field in half of AVSA-Bin's pairs: yaw, pitch-yaw or any."""
    min_misalignment: float = 0.0
    """Smallest angle of that rotation in degrees; 0 as published, which includes angles too small to detect."""
    hidden: int = 512
    """Units of the probe's hidden layer."""
    dropout: float = 0.5
    """Dropout of the hidden layer in training."""
    epochs: int = 20
    """Passes over the training draws."""
    batch: int = 32
    """Draws a step."""
    avc: OptimConfig = field(default_factory=_decaying)
    """Optimiser of AVC-Bin's probe."""
    avsa: OptimConfig = field(default_factory=_decaying)
    """Optimiser of AVSA-Bin's probe."""
    projection: int = 128
    """Output width of the linear projections for retrieval."""
    temperature: float = 0.07
    """Temperature of InfoNCE on the projections."""
    retrieval_batch: int = 256
    """Clips a step of the projections, at most the number of clips."""
    retrieval: OptimConfig = field(default_factory=_decaying)
    """Optimiser of the projections."""
    bootstrap: int = 2000
    """Bootstrap samples of the test clips for confidence intervals."""
    precision: str = choice("auto", PRECISIONS)
    """Precision of the towers, as in `TrainConfig`."""
    workers: int = 2
    """Loader processes."""
    seed: int = 0
    """Seed of draws, weights, resampling."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self)
        self._check_crops()
        if None not in (self.seconds, self.frames, self.frame_rate):
            self.data()
        check_crop_guide(self, self.detector)
        for name in ("train_draws", "test_draws", "per_window", "hidden", "epochs", "batch", "bootstrap", "projection"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.retrieval_batch < 2 or not self.temperature > 0:
            values = f"{self.retrieval_batch} and {self.temperature}"
            raise InputError(f"expected retrieval_batch >= 2 and temperature > 0, got {values}")
        if not (0 <= self.min_misalignment < 180 and 0 <= self.dropout < 1):
            values = f"{self.min_misalignment} and {self.dropout}"
            raise InputError(f"expected 0 <= min_misalignment < 180 degrees and 0 <= dropout < 1, got {values}")
        if self.seed < 0:
            raise InputError(f"seed: expected 0 or more, got {self.seed}")

    def _check_crops(self) -> None:
        """Validate the fields of `CropOptions`, with its defaults in place of unset geometry."""
        fov = {"min_fov": self.min_fov or self.max_fov, "max_fov": self.max_fov or self.min_fov}
        values = {each.name: getattr(self, each.name) for each in fields(CropOptions)} | fov
        values["crop_guide"] = "objects" if self.crop_guide == BOTH else self.crop_guide
        CropOptions(**{name: value for name, value in values.items() if value is not None})

    def with_geometry(self, encoders: Encoders) -> CorrespondenceOptions:
        """Fill in unset geometry from the encoders.

        Raises:
            InputError: neither the options nor the encoders have it, or the crops overlap.
        """
        return resolve_geometry(self, encoders.geometry, GEOMETRY)

    def data(self) -> DataConfig:
        """How windows are read: one a batch, so that every clip is drawn equally often."""
        return DataConfig(
            manifest=self.manifest,
            detector=self.detector,
            seconds=resolved(self.seconds),
            frames=resolved(self.frames),
            frame_rate=resolved(self.frame_rate),
            batch=1,
            workers=self.workers,
        )
