"""What the head `spatialize` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avssl.errors import InputError

from avssl.config import (
    DataConfig,
    OptimConfig,
    TrainConfig,
    check_choices,
    check_range,
    choice,
    plugin_name,
    plugin_options,
)
from avssl.plugins import GENERATORS
from avssl_downstream.spatialize.generator import Generator

NORMALISATIONS = ("none", "peak")
MIXES = ("auto", "mean", "first")
CODECS = ("aac", "pcm")
TARGETS = ("ambix", "binaural", "stereo", "5.1", "7.1")
FILTERS = ("magls", "plain")


@dataclass(frozen=True)
class SpatializeOptions:
    """Generator, data, training, evaluation; and what applying may change."""

    generator: str = plugin_name("pseudo_binaural", GENERATORS)
    """Network that makes spatial audio; `avssl list` describes each."""
    generator_options: dict[str, Any] = plugin_options(GENERATORS, key="generator")
    """Fills the generator's `Options`."""
    visual_branch: str = "scratch"
    """Picture branch: encoders (of --encoders), scratch, torchvision/NAME or timm/NAME."""
    visual_weights: str = ""
    """A `.safetensors` file for a torchvision or timm backbone, such as ImageNet's; empty: random."""
    fine_tune: bool = True
    """Train the picture branch too."""
    manifest: str = ""
    """A `manifest.parquet` or its folder, with clips of split train and of the split that is evaluated; empty: the
    built-in world."""
    synthetic_dataset: str = ""
    """Built-in world; empty: synth360 for 360-degree generators (synth360-order-2 for second order), stage for
    others."""
    clips: int = 800
    """Scenes of a built-in world."""
    clip_seconds: float = 4.0
    """Seconds of each of its scenes."""
    synthetic_seed: int = 0
    """Its seed."""
    train_share: float = 1.0
    """Share of the training clips that is used, the same whatever the seed; 0: none, only those of `augment`."""
    augment: str = ""
    """Further training clips, such as pseudo-binaural pairs: a manifest, or a built-in world's name; empty: none."""
    augment_share: float = 0.5
    """Share of them in a batch."""
    batch: int = 16
    """Windows a step."""
    workers: int = 2
    """Loader processes."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Length, seed, precision, intervals."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """How it is trained; `shares` gives parts, such as picture, a share of the rate."""
    field_of_view: float = 90.0
    """Degrees that pictures span from left to right, where they are not all around."""
    split: str = "test"
    """Split that is evaluated; empty, for a fitted head on other data: all clips."""
    max_clips: int = 0
    """Clips evaluated at most, evenly spread; 0: all."""
    normalisation: str = choice("none", NORMALISATIONS)
    """Before distances are measured: none, or peak: prediction and truth are each divided by their own highest peak."""
    hop: float = 0.0
    """Seconds between windows of a whole file; 0: the generator's."""
    windows: int = 8
    """Windows computed together when a whole file is made."""
    mix: str = choice("auto", MIXES)
    """What of a file's sound is spatialized: auto (mono, or the mean of stereo), mean of all channels, or first, which
    is W of ambisonics."""
    panorama: bool = False
    """The user vouches that a file's pictures are equirectangular, though it does not say so."""
    target: str = choice("", ("", *TARGETS))
    """What is made of a file: ambix, binaural, stereo, 5.1 or 7.1 of a sound field; empty: what the generator gives."""
    hrirs: str = ""
    """Whose ears hear a field where `target` is binaural: a SOFA file, or a folder of CIPIC or SADIE wavs; empty: those
    of a sphere."""
    filters: str = choice("magls", FILTERS)
    """How: magls, right in level above 624 Hz, or plain, the least squares."""
    codec: str = choice("aac", CODECS)
    """Of the sound of a film that is made: aac, or pcm, 24 bits without loss, which YouTube takes in a .mov."""
    title: str = ""
    """What `avssl report` calls the row; empty: the generator's name."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> the paper's number for this row."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        check_choices(self, "spatialize")
        for name in ("train_share", "augment_share"):
            check_range("spatialize", name, getattr(self, name), 0.0, 1.0)
        check_range("spatialize", "field_of_view", self.field_of_view, 1.0, 360.0)
        for name in ("clips", "batch", "windows"):
            if getattr(self, name) < 1:
                raise InputError(f"spatialize.{name} is at least 1, not {getattr(self, name)}")
        for name in ("hop", "max_clips", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"spatialize.{name} must not be negative, it is {getattr(self, name)}")
        if not self.augment and not self.train_share:
            raise InputError("spatialize: train_share is 0 and augment names nothing: there is nothing to train on")

    def data(self, generator: Generator, batch: int) -> DataConfig:
        """How windows are read for a generator: its pictures lie about the middle of its sound."""
        around = "synth360-order-2" if generator.output == "second-order" else "synth360"
        return DataConfig(
            synthetic_dataset=self.synthetic_dataset or (around if generator.panoramic else "stage"),
            clips=self.clips,
            clip_seconds=self.clip_seconds,
            synthetic_seed=self.synthetic_seed,
            seconds=generator.seconds,
            frames=generator.frames,
            frame_rate=generator.frame_rate,
            frame_position="middle",
            batch=batch,
            workers=self.workers,
        )
