"""Config of a run: frozen dataclasses, filled by defaults < recipe < flags and `--set`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from avssl.config_bounds import check_numbers
from avssl.config_checks import check_choice as check_choice
from avssl.config_checks import check_choices as check_choices
from avssl.config_checks import check_not_negative, check_positive
from avssl.config_checks import check_range as check_range
from avssl.config_fields import choice, plugin_options
from avssl.errors import InputError, excerpt, first_line
from avssl.plugins import HEADS, TASKS, hint
from avssl.renamed import renamed_key

T = TypeVar("T")
PRECISIONS = ("auto", "bf16-mixed", "32-true", "16-mixed", "bf16-true", "16-true", "64-true")

FEATURES = {
    "mono-logmel": "log-mel spectrogram of W, or of the mean of two channels",
    "stereo-logmel": "log-mel spectrograms of left and right, or of W + Y and W - Y",
    "stereo-phase": "stereo-logmel with level difference, phase difference and GCC-PHAT",
    "foa-logmel": "log-mel spectrograms of W, Y, Z, X",
    "foa-iv": "foa-logmel with the active intensity vector along y, z, x",
    "beam-logmel": "log-mel spectrogram of a beam towards the front",
    "beam-ratio": "beam-logmel with the level of the beam over that of W in each mel band",
}
"""Input features of the audio tower, with a line of description."""
BEAMS = ("projection", "cardioid", "hypercardioid", "max-re", "dipole")
"""Beam patterns of the features beam-logmel and beam-ratio."""
PRESETS = ("small", "avsa")
COMPILE_MODES = ("none", "default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class FeatureConfig:
    """Input features of the audio tower."""

    name: str = choice("foa-iv", FEATURES)
    """Input features of the audio tower, computed from the waveform; `avssl list` describes them."""
    sample_rate: int = 24000
    """Sample rate of the audio, Hz."""
    n_fft: int = 512
    """Length of the STFT window (Hann), samples."""
    hop: int = 240
    """Hop of the STFT, samples."""
    mels: int = 128
    """Number of mel bands (Slaney)."""
    top_db: float = 100.0
    """Dynamic range below the maximum of each channel, dB."""
    beam: str = choice("projection", BEAMS)
    """Beam pattern of the features beam-logmel and beam-ratio."""
    remove_level: bool = False
    """Subtract the mean of the loudest log-mel map of a window from all, so that its overall level has no effect."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "features")
        for name in ("sample_rate", "n_fft", "hop", "mels"):
            check_positive("features", name, getattr(self, name))


@dataclass(frozen=True)
class ModelConfig:
    """Audio and video towers."""

    preset: str = choice("small", PRESETS)
    """Towers: small (for two CPU cores) or avsa (the published ones)."""
    video: str = ""
    """Backbone instead of the preset's: torchvision/NAME or timm/NAME."""
    audio: str = ""
    """Backbone instead of the preset's: torchvision/NAME or timm/NAME."""
    init: str = ""
    """Encoders that initialise the weights: a folder, a name of `avssl list`, or hf://USER/NAME; empty: random ones."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "model")


FRAME_POSITIONS = ("random", "middle")
DECODED = ("synthetic", "all", "none")


@dataclass(frozen=True)
class DataConfig:
    """Source of the clips, and length and rate of what is read from each."""

    manifest: str = ""
    """A `manifest.parquet` or its folder; empty: a synthetic dataset."""
    synthetic_dataset: str = "synth360"
    """Synthetic dataset, such as synth360 (360-degree video, FOA) or stage (one camera, binaural)."""
    synthetic_options: dict[str, Any] = field(default_factory=dict)
    """Options of the synthetic dataset beside its size, seed and rates, see `avssl synth NAME --help`; such as
    `{sides: both}` of stage."""
    detector: str = ""
    """Detector of the objects that guide crops: path or name of a model, or truth (synthetic datasets); empty: none."""
    clips: int = 800
    """Number of scenes of the synthetic dataset."""
    clip_seconds: float = 4.0
    """Length of a scene of the synthetic dataset, s."""
    synthetic_seed: int = 0
    """Seed of the synthetic dataset."""
    validation_seed: int | None = None
    """Seed of another synthetic dataset of the same kind that evaluates the run, to choose hyperparameters by; None:
    the held-out clips of the training dataset, for the final number."""
    seconds: float = 1.0
    """Length of the audio of one clip, s."""
    frames: int = 8
    """Number of frames of one clip, within the length of its audio."""
    frame_rate: float = 16.0
    """Frame rate, Hz."""
    frame_position: str = choice("random", FRAME_POSITIONS)
    """Position of the frames within the audio: random or middle; the audio then moves by half a frame at most."""
    batch: int = 32
    """Batch size in clips, over all processes."""
    workers: int = 2
    """Loader processes per training process."""
    decoded: str = choice("synthetic", DECODED)
    """Decoded frames kept in the cache folder: of synthetic datasets, of all, or of none."""
    decoded_gb: float = 10.0
    """Size of all decoded frames in the cache folder, at most, GB; videos beyond it are decoded at every read."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("clips", "clip_seconds", "seconds", "frames", "frame_rate", "batch"):
            check_positive("data", name, getattr(self, name))
        if (self.frames - 1) / self.frame_rate >= self.seconds:
            raise InputError(
                f"data: {self.frames} frames at {self.frame_rate} a second do not fit into {self.seconds} s"
            )
        for name in ("synthetic_seed", "workers", "decoded_gb"):
            check_not_negative("data", name, getattr(self, name))
        self._check_validation_seed()
        check_choices(self, "data")

    def _check_validation_seed(self) -> None:
        if self.validation_seed is None:
            return
        check_not_negative("data", "validation_seed", self.validation_seed)
        if self.manifest:
            raise InputError(
                "data.validation_seed: expected a synthetic dataset, got data.manifest; leave one of them out"
            )
        if self.validation_seed == self.synthetic_seed:
            raise InputError(
                f"data.validation_seed: expected another seed than synthetic_seed, got {self.validation_seed}"
            )


SCHEDULES = ("constant", "cosine", "steps", "exponential")


@dataclass(frozen=True)
class OptimConfig:
    """Adam: learning rate, its schedule, and weight decay."""

    lr: float = 1e-4
    """Peak learning rate."""
    weight_decay: float = 1e-5
    """Weight decay."""
    decoupled: bool = True
    """True: AdamW; False: Adam with L2 regularisation, as in AVSA."""
    schedule: str = choice("constant", SCHEDULES)
    """Schedule of the learning rate: constant (AVSA), cosine (to zero at the last step), steps (times `factor` at each
    milestone) or exponential (to `final_lr_ratio` at the last step)."""
    final_lr_ratio: float = 0.01
    """Schedule `exponential`: ratio of the last to the peak learning rate."""
    lr_multipliers: dict[str, float] = field(default_factory=dict)
    """Learning-rate multipliers by prefix of the parameter name, such as 0.1 for a pretrained part."""
    milestones: list[float] = field(default_factory=list)
    """Schedule `steps`: milestones as fractions of the run, in 0..1."""
    factor: float = 0.1
    """Schedule `steps`: factor of the learning rate at each milestone."""
    warmup: int = 0
    """Length of the linear warm-up, steps."""
    warmups: dict[str, int] = field(default_factory=dict)
    """Lengths of the linear warm-up by prefix of the parameter name, steps, such as a longer one for transformers; for
    all others, `warmup`."""
    frozen_steps: dict[str, int] = field(default_factory=dict)
    """Steps at the start in which a part is frozen, its normalisation too, by prefix of the parameter name, such as a
    pretrained part beside new ones; only in one process."""
    clip_norm: float = 0.0
    """Maximum gradient norm; 0: no clipping."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_positive("optim", "lr", self.lr)
        check_positive("optim", "final_lr_ratio", self.final_lr_ratio)
        check_positive("optim", "factor", self.factor)
        for name in ("weight_decay", "warmup", "clip_norm"):
            check_not_negative("optim", name, getattr(self, name))
        check_choices(self, "optim")
        for share in self.milestones:
            check_range("optim", "milestones", share, 0.0, 1.0)
        for name in ("lr_multipliers", "warmups", "frozen_steps"):
            for value in getattr(self, name).values():
                check_not_negative("optim", name, value)


@dataclass(frozen=True)
class TrainConfig:
    """Length, seed, precision and intervals of a run."""

    steps: int = 1000
    """Number of optimiser steps."""
    seed: int = 0
    """Seed of weights, clip order and views."""
    precision: str = choice("auto", PRECISIONS)
    """Floating-point precision, by Lightning Fabric's name; auto: bf16-mixed where the device has it, else 32-true."""
    log_every: int = 20
    """Interval between logged scalars, steps."""
    save_every: int = 500
    """Interval between checkpoints, steps."""
    show_every: int = 500
    """Interval between images and audio in TensorBoard, steps."""
    chunk: int = 0
    """Clips of a process that are embedded at a time (gradient caching): the gradient of a large batch in the memory of
    a small one, for about a third more time; 0: all at once."""
    compile: str = choice("none", COMPILE_MODES)
    """Mode of torch.compile for the towers; reduce-overhead and max-autotune use CUDA graphs, on CUDA only."""
    deterministic: bool = False
    """On CUDA, kernels that give the same bits in every run, for an exact resume; False: the fastest kernels."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("steps", "log_every", "save_every", "show_every"):
            check_positive("train", name, getattr(self, name))
        check_not_negative("train", "chunk", self.chunk)
        if self.chunk and self.compile not in ("none", "default"):
            raise InputError(f"expected train.compile none or default with train.chunk, got {self.compile!r}")
        check_choices(self, "train")
        check_range("train", "seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class RunConfig:
    """One pretraining run."""

    task: str = "avsa"
    """Name of an installed task."""
    options: dict[str, Any] = plugin_options(TASKS, key="task")
    """Fills the task's `Options`."""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    probe: dict[str, Any] = plugin_options(HEADS, name="correspondence", optional=True)
    """Fills the `Options` of the correspondence head that ends the run; `{enabled: false}` leaves it out."""
    first_stage: dict[str, Any] = field(default_factory=dict)
    """Curriculum: keys in which a stage before this run differs, such as its `task`; this run starts from the encoders
    of that stage, which is in the folder `first_stage` of the run. Empty: none."""
    title: str = ""
    """Title of the run's row in `avssl report`; empty: made from task and features."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> the paper's number for this row, which `avssl report` puts beside ours."""


@dataclass(frozen=True)
class NoOptions:
    """Options of a task or head that has nothing to set."""


def fill(kind: type[T], *layers: Any, where: str = "") -> T:
    """An instance of a config dataclass from its defaults and layers of mappings, later ones first.

    Args:
        kind: a dataclass.
        layers: nested mappings, or OmegaConf configs.
        where: named in errors, such as the recipe's path.

    Raises:
        InputError: an unknown key, or a value of another type or out of its range.
    """
    with _describe_errors(kind, where):
        merged = _merged(kind, *layers)
        check_numbers(OmegaConf.to_container(merged, resolve=True))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]


def check_keys(kind: type, layer: Any, where: str) -> None:
    """Check that a mapping has only keys of a config dataclass, and values of their types.

    Args:
        kind: a dataclass.
        layer: a nested mapping, or an OmegaConf config.
        where: named in errors.

    Raises:
        InputError: an unknown key, or a value of another type.
    """
    with _describe_errors(kind, where):
        _merged(kind, layer)


def check_precision(section: str, name: str) -> None:
    """See that a precision is one of `PRECISIONS`; others of Lightning Fabric's need further packages.

    Raises:
        InputError: it is not.
    """
    check_choice(f"{section}.precision", name, PRECISIONS)


def keys(kind: type) -> list[str]:
    """Every key of a config dataclass and of the ones inside it."""
    found = []
    for each in fields(kind):
        found.append(each.name)
        if isinstance(each.default_factory, type) and hasattr(each.default_factory, "__dataclass_fields__"):
            found += keys(each.default_factory)
    return found


def _merged(kind: type, *layers: Any) -> Any:
    for layer in layers:
        if not (isinstance(layer, Mapping | DictConfig) or is_dataclass(layer)):
            raise InputError(f"expected a mapping of keys to values, got {excerpt(layer)}")
    try:
        return OmegaConf.merge(OmegaConf.structured(kind), *[OmegaConf.create(layer) for layer in layers])
    except TypeError as error:  # a list in place of a mapping, or the reverse
        raise InputError(f"expected lists and mappings where the keys have them: {excerpt(error)}") from error


@contextmanager
def _describe_errors(kind: type, where: str) -> Iterator[None]:
    """OmegaConf's errors as one line that says where, which key, and which one may have been meant."""
    prefix = f"{where}: " if where else ""
    try:
        yield
    except ConfigKeyError as error:
        raise InputError(f"{prefix}{_unknown(str(error.full_key), keys(kind))}") from error
    except OmegaConfBaseException as error:
        key = f" ({error.full_key})" if error.full_key else ""
        raise InputError(f"{prefix}{excerpt(first_line(error))}{key}") from error
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error
    except RecursionError as error:
        raise InputError(f"{prefix}expected values that end, got some that are nested too deep") from error


def _unknown(key: str, known: Sequence[str]) -> str:
    """Hint for an unknown key: its new spelling, or a similar key."""
    section, dot, name = key.rpartition(".")
    new = renamed_key(name, known)
    if new:
        return f"{key!r} is now {section + dot + new!r}"
    if name in known:
        return f"unknown key {excerpt(key)!r} (there is one of this name in another section)"
    return f"unknown key {excerpt(key)!r}{hint(excerpt(name), known)}"
