"""What the correspondence head can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from avssl.errors import InputError

from avssl.config import PRECISIONS, DataConfig, OptimConfig, choice
from avssl.data.crops import CropOptions, check_crop_guide

MISALIGNMENTS = ("yaw", "pitch-yaw", "any")


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
    seconds: float = 1.0
    """Sound read for one draw."""
    frames: int = 8
    """Pictures read for one draw, from within the seconds of sound."""
    frame_rate: float = 16.0
    """Pictures a second."""
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
        super().__post_init__()
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
        self.data()

    def data(self) -> DataConfig:
        """How windows are read: one by one, so that every clip comes equally often."""
        return DataConfig(
            manifest=self.manifest,
            detector=self.detector,
            seconds=self.seconds,
            frames=self.frames,
            frame_rate=self.frame_rate,
            batch=1,
            workers=self.workers,
        )
