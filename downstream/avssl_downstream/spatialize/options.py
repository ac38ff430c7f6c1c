"""Options of the head `spatialize`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avssl.config import DECODED, DataConfig, OptimConfig, TrainConfig, check_choices, check_precision, check_range
from avssl.config_fields import choice, plugin_name, plugin_options
from avssl.errors import InputError
from avssl.plugins import GENERATORS
from avssl_downstream.spatialize.generator import Generator

NORMALISATIONS = ("none", "peak")
MIXES = ("auto", "mean", "first")
METHODS = ("generator", "calibrated", "prior")
CODECS = ("aac", "pcm")
TARGETS = ("ambix", "binaural", "stereo", "5.1", "7.1", "activations")
FILTERS = ("magls", "plain")
AUDIO_BRANCHES = ("encoders", "scratch", "none")


@dataclass(frozen=True)
class SpatializeOptions:
    """Generator, data, training, evaluation, inference."""

    generator: str = plugin_name("pseudo_binaural", GENERATORS)
    """Network that generates spatial audio; `avssl list` describes each."""
    generator_options: dict[str, Any] = plugin_options(GENERATORS, key="generator")
    """Options of the generator."""
    visual_branch: str = ""
    """Visual branch: encoders (the video tower of --encoders), scratch, torchvision/NAME or timm/NAME; none: train
    without frames, on audio alone; empty: encoders with --encoders, else scratch."""
    audio_branch: str = choice("", ("", *AUDIO_BRANCHES))
    """Audio tower beside the generator's own audio layers: encoders (that of --encoders), scratch or none; empty:
    encoders with --encoders whose features accept the generator's input audio, else none."""
    visual_weights: str = ""
    """Weights of a torchvision or timm visual branch, a `.safetensors` file such as ImageNet's; empty: random."""
    fine_tune: bool = True
    """Train the networks of visual and audio branch too."""
    init: str = ""
    """Folder of a fitted generator of the same options, whose weights the training starts from; empty: random ones."""
    encoders_frozen_steps: int = 50
    """Steps at the start in which the towers of --encoders are frozen."""
    encoders_lr_multiplier: float = 1.0
    """Learning-rate multiplier of the towers of --encoders after that; `optim.lr_multipliers` goes before it."""
    manifest: str = ""
    """Clips of split train and of the evaluated split: a `manifest.parquet` or its folder; empty: a synthetic
    dataset."""
    lists: str = ""
    """Folder of lists train, val, test (.txt or .h5) of clips, which split the manifest instead of its own column; see
    `avssl reproduce splits`."""
    synthetic_dataset: str = ""
    """Synthetic dataset; empty: synth360 for 360-degree generators (synth360-order-2 for second order), else stage with
    sources on both sides."""
    synthetic_options: dict[str, Any] = field(default_factory=dict)
    """Options of the synthetic dataset beside its size, seed and rates, see `avssl synth NAME --help`; such as
    `{sides: one}` of stage."""
    clips: int = 800
    """Clips of the synthetic dataset."""
    clip_seconds: float = 4.0
    """Seconds of each clip of the synthetic dataset."""
    synthetic_seed: int = 0
    """Seed of the synthetic dataset."""
    train_share: float = 1.0
    """Fraction of the training clips used, the same clips for every seed; 0: only those of `augment`."""
    augment: str = ""
    """Additional training clips, such as pseudo-binaural pairs: a manifest or a synthetic dataset; empty: none."""
    augment_options: dict[str, Any] = field(default_factory=dict)
    """Options of the synthetic dataset that `augment` names, see `avssl synth NAME --help`; such as `{counts: "0:1:0"}`
    of pseudo-binaural: pairs of two sources. Those of a folder are its own."""
    augment_share: float = 0.5
    """Fraction of a batch taken from `augment`."""
    batch: int = 16
    """Windows per training step."""
    workers: int = 2
    """Loader processes."""
    decoded: str = choice("synthetic", DECODED)
    """Videos whose decoded frames are kept in the cache folder: of synthetic datasets, all or none."""
    decoded_gb: float = 10.0
    """Size of all decoded frames in the cache folder at most, GB."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps, seed, precision, intervals."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser; `shares` scales the learning rate of parts, such as visual_branch."""
    field_of_view: float = 90.0
    """Horizontal field of view of frames that are not equirectangular, degrees."""
    split: str = "test"
    """Split to evaluate; empty, for a fitted head on other data: all clips."""
    audio_only: str = ""
    """Folder of a generator that was trained without frames (visual_branch=none), evaluated on the same clips as the
    row audio_only; empty: no row."""
    heat_map: str = ""
    """Run folder of `avssl pretrain --task dense_avc` on mono audio, whose heat map is evaluated as a generator by
    itself, one direction a window, as the row heat_map; empty: that of the generator's direction_prior, if it has
    one."""
    max_clips: int = 0
    """Clips to evaluate at most, evenly spaced; 0: all."""
    normalisation: str = choice("none", NORMALISATIONS)
    """Before distances: none; peak: generated audio and target are each divided by their own peak."""
    calibrate: int = 0
    """Training clips at most, evenly spaced, on which the generator is calibrated after training: the level of what it
    adds and a spatial prior beside it, by least squares, for the row calibrated and method=calibrated; 0: none."""
    filter_db: float = 1.0
    """Least difference of level between left and right, dB, of the clips of the rows `filtered`, as in the second table
    of Lu et al. 2019, whose threshold is not published; binaural audio only."""
    hop: float = 0.0
    """Seconds between windows in inference; 0: the generator's."""
    windows: int = 8
    """Windows computed at once in inference."""
    method: str = choice("generator", METHODS)
    """Output of --input: of the generator; of the calibrated one, see calibrate; or of the spatial prior, the input
    channels with the mean gains of the training clips, as the row prior of the evaluation."""
    mix: str = choice("auto", MIXES)
    """Mono input of a file: auto (mono, or the mean of stereo), mean of all, or first (W of ambisonics)."""
    segmenter: str = ""
    """Removes the background of frames, in evaluation and of a file: torchvision/maskrcnn_resnet50_fpn:WEIGHTS, or a
    .pt, .onnx or OpenVINO model of ultralytics; empty: frames as they are. For generators of ordinary video."""
    panorama: bool = False
    """Treat a file's frames as equirectangular though its metadata does not say so."""
    target: str = choice("", ("", *TARGETS))
    """Output format: ambix; or binaural, stereo, 5.1 or 7.1 decoded from ambisonics; empty: the generator's.
    activations: the activation maps of the visual branches and of APNet, as a film or a .png, instead of audio."""
    hrirs: str = ""
    """HRIRs of target=binaural: a SOFA file, or a folder of CIPIC or SADIE wavs; empty: a spherical head model."""
    filters: str = choice("magls", FILTERS)
    """Ambisonic-to-binaural filters: magls (magnitude least squares above 624 Hz) or plain (least squares)."""
    codec: str = choice("aac", CODECS)
    """Audio codec of a video file: aac; or pcm, 24 bits, lossless (accepted by YouTube in a .mov)."""
    title: str = ""
    """Title of the row in `avssl report`; empty: generator and visual branch."""
    published: dict[str, float] = field(default_factory=dict)
    """Metric -> number of the paper for this row."""

    def __post_init__(self) -> None:
        """Validate field values."""
        check_choices(self, "spatialize")
        for name in ("train_share", "augment_share"):
            check_range("spatialize", name, getattr(self, name), 0.0, 1.0)
        check_range("spatialize", "field_of_view", self.field_of_view, 1.0, 360.0)
        check_range("spatialize", "filter_db", self.filter_db, 0.0, 100.0)
        for name in ("clips", "batch", "windows"):
            if getattr(self, name) < 1:
                raise InputError(f"expected spatialize.{name} of at least 1, got {getattr(self, name)}")
        for name in ("hop", "max_clips", "calibrate", "workers", "encoders_frozen_steps", "encoders_lr_multiplier"):
            if getattr(self, name) < 0:
                raise InputError(f"expected spatialize.{name} of at least 0, got {getattr(self, name)}")
        if not self.augment and not self.train_share:
            raise InputError("expected training clips, got train_share=0 without augment; set one of them")
        check_precision("spatialize", self.train.precision)

    def data(self, generator: Generator, batch: int) -> DataConfig:
        """Data configuration of a generator's windows: frames are centred on the middle of the audio."""
        name, options = self._default_dataset(generator)
        return DataConfig(
            synthetic_dataset=self.synthetic_dataset or name,
            synthetic_options=self.synthetic_options if self.synthetic_dataset else options | self.synthetic_options,
            clips=self.clips,
            clip_seconds=self.clip_seconds,
            synthetic_seed=self.synthetic_seed,
            seconds=generator.seconds,
            frames=generator.frames,
            frame_rate=generator.frame_rate,
            frame_position="middle",
            batch=batch,
            workers=self.workers,
            decoded=self.decoded,
            decoded_gb=self.decoded_gb,
        )

    @staticmethod
    def _default_dataset(generator: Generator) -> tuple[str, dict[str, Any]]:
        """Synthetic dataset of a generator, and its options."""
        if not generator.panoramic:
            return "stage", {"sides": "both"}
        return "synth360-order-2" if generator.output == "second-order" else "synth360", {}
