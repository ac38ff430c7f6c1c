"""Spatial audio from mono audio and video: train a generator, evaluate it, apply it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.head import Head
from avssl.io.atomic import write_text
from avssl.io.folder_lock import locks_folder
from avssl.io.interrupts import interrupt_on_signals
from avssl.io.memory import keep_freed
from avssl.models.encoders import Encoders
from avssl.models.runtime import single_process
from avssl.runs.evaluated_clips import write_evaluated_clips
from avssl.runs.reader import CONFIG, check_format, read_config
from avssl.runs.run_folder import FIGURES, add_metrics, check_same, write_config
from avssl.train.checkpoint import LAST
from avssl_downstream.spatialize.activation_film import ACTIVATIONS, write_activations
from avssl_downstream.spatialize.apply import apply
from avssl_downstream.spatialize.clip_directions import ClipDirections
from avssl_downstream.spatialize.default_heads import default_head
from avssl_downstream.spatialize.evaluate_generator import Evaluation
from avssl_downstream.spatialize.evaluation_clips import spatial_prior
from avssl_downstream.spatialize.evaluation_rows import EvaluationRows
from avssl_downstream.spatialize.evaluation_table import by_clip_csv, evaluation_table
from avssl_downstream.spatialize.foreground import load_foreground, refuse_segmenter
from avssl_downstream.spatialize.frame_features import FrameFeatures, FrameSource
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.generator_io import (
    copy_generator,
    initial_prior,
    initialise,
    read_calibration,
    read_generator,
    read_prior,
    write_generator,
    write_prior,
)
from avssl_downstream.spatialize.inference import WindowSchedule
from avssl_downstream.spatialize.networks.direction_prior import (
    DirectionPrior,
    find_direction_prior,
    load_direction_prior,
)
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.oracles import Outputs
from avssl_downstream.spatialize.plots import ClipPlots
from avssl_downstream.spatialize.registry import build_generator, resolve_branches
from avssl_downstream.spatialize.streaming import StreamingSpatializer
from avssl_downstream.spatialize.training import evaluation_manifests, train, training_manifests

TABLE, BY_CLIP = "evaluation.md", "by_clip.csv"
"""Files of an evaluation: its table, and the metrics of every row and clip."""
MAY_CHANGE = (
    "train.steps", "train.log_every", "train.save_every", "train.show_every", "workers", "split", "max_clips",
    "normalisation", "hop", "windows", "method", "mix", "panorama", "target", "hrirs", "filters", "codec", "title",
    "published", "audio_only", "heat_map", "filter_db", "segmenter", "decoded", "decoded_gb", "calibrate",
)  # fmt: skip
"""Options that may differ when a run is continued."""


class Spatialize(Head):
    """Generates spatial audio from mono audio and video: trains, evaluates and applies a generator.

    Args:
        encoders: pretrained towers for branches `encoders`, or None.
        options: generator, data, training, evaluation.

    Raises:
        InputError: a branch `encoders` without encoders.
    """

    Options = SpatializeOptions
    needs_encoders = False
    encoders: Encoders | None  # type: ignore[assignment]
    options: SpatializeOptions

    def __init__(self, encoders: Encoders | None, options: SpatializeOptions) -> None:
        for name in ("visual_branch", "audio_branch"):
            if encoders is None and getattr(options, name) == "encoders":
                raise InputError(f"{name}=encoders needs --encoders: a run folder, or its encoders folder")
        self.encoders, self.options = encoders, options
        self.generator: Generator | None = None
        self.folder = Path()

    @classmethod
    def takes_encoders(cls, options: SpatializeOptions) -> bool:
        """Where a branch asks for them."""
        return "encoders" in (options.visual_branch, options.audio_branch)

    @classmethod
    def default_head(cls, source: Path, settings: Any) -> str:
        """The generator that comes with avssl for the field of view of a file."""
        return default_head(source, declared=bool(settings.get("panorama")))

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Spatialize:
        """A head fitted in `folder`; `settings` may change inference and evaluation, see `generator_io.FREE`.

        Raises:
            InputError: no such folder, a broken file, or settings that need another fit.
        """
        generator, options = read_generator(folder, settings)
        head = cls.__new__(cls)
        head.encoders, head.options, head.generator, head.folder = None, options, generator, folder
        return head

    @locks_folder
    def fit(self, folder: Path) -> dict[str, float]:
        """Train, save, evaluate; a run that the folder holds is continued.

        Leaves `config.yaml`, checkpoints, `generator.safetensors`, `config.json`, `metrics.json`, `evaluation.md`,
        `by_clip.csv`, `evaluated.parquet` and figures.

        Returns:
            The content of `metrics.json`: `test_stft` and others of the generator, `mono_stft` and others of baselines,
            and settings that the numbers depend on; see `Evaluation` and `audio_metrics`.

        Raises:
            InputError: unusable data, encoders that do not fit or that no branch uses, or a folder of another run.
            OSError: a file cannot be read or written.
            SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C.
        """
        generator = build_generator(self.options, self.encoders, initial_prior(self.options))
        if self.options.init:
            initialise(generator, Path(self.options.init))
        self.options = resolve_branches(self.options, generator)
        check_folder(folder, self.options)
        read_audio_only(generator, self.options)  # before hours of training
        read_heat_map(generator, self.options)
        load_foreground(self.options.segmenter, generator)
        training, further, held_out = training_manifests(generator, self.options)
        fabric = single_process(self.options.train.precision)
        write_config(folder, run_config(self.options))
        metrics = train(generator, training, further, self.options, folder, fabric)
        write_generator(folder, generator, self.options, self.encoders)
        add_metrics(folder, metrics)
        self.generator, self.folder = generator, folder
        used = training if len(training) else further
        metrics = self._evaluated(generator.to(fabric.device), used, held_out, folder)
        return add_metrics(folder, metrics | {"training_clips": float(len(used))})

    @locks_folder
    def measure(self, folder: Path) -> dict[str, float]:
        """Evaluate a fitted generator on clips of `manifest`: of a split, or all without a named or labelled split.

        Leaves `config.yaml`, `metrics.json` and figures, as `fit` does. The spatial prior is that of the training clips
        of the manifest; without them it is left out. With `calibrate` the folder gets the generator too, so that it is
        a fitted head with a calibration.

        Returns:
            The content of `metrics.json`; see `fit`.

        Raises:
            InputError: a head that is not fitted, no manifest, unusable data, or a folder of another run.
            OSError: a file cannot be read or written.
        """
        if self.generator is None or not self.options.manifest:
            raise InputError(f"{folder}: expected a fitted generator (--head) and a manifest (--data) to evaluate")
        self.options = replace(self.options, published={})
        check_folder(folder, self.options)
        training, held_out = evaluation_manifests(self.generator, self.options)
        if self.options.calibrate and not len(training):
            raise InputError(
                f"{self.options.manifest}: expected clips of the split train to calibrate on, got none; prepare the "
                "clips with a split (avssl prepare --split), or leave calibrate out"
            )
        write_config(folder, run_config(self.options))
        generator = self.generator.to(single_process(self.options.train.precision).device)
        metrics = self._evaluated(generator, training, held_out, folder)
        if self.options.calibrate:
            copy_generator(self.folder, folder)
        return add_metrics(folder, metrics)

    def apply(self, source: Path, target: Path) -> None:
        """Write a file with spatial audio; see `avssl_downstream.spatialize.apply.apply`.

        Raises:
            InputError: a head that is not fitted, or see there.
            OSError: see there.
        """
        if self.generator is None:
            raise InputError(
                f"{source}: expected a fitted generator; name its folder (--head); only films have one by default"
            )
        fabric = single_process(self.options.train.precision)
        keep_freed()
        with interrupt_on_signals():
            generator = self.generator.to(fabric.device).eval()
            if self.options.target == ACTIVATIONS:
                write_activations(source, target, generator, self.options, fabric)
                return
            method = self.options.method
            prior = read_prior(self.folder, generator) if method == "prior" else None
            calibration = read_calibration(self.folder, generator) if method == "calibrated" else None
            apply(source, target, generator, self.options, fabric, prior, calibration)

    def streaming(self, frames: FrameSource, sample_rate: int, batch: int = 1) -> StreamingSpatializer:
        """A spatializer of a live stream.

        Args:
            frames: of the stream, such as `LiveFrames(head.generator)`.
            sample_rate: Hz, of the audio.
            batch: windows computed at once; more are faster and later.

        Raises:
            InputError: a head that is not fitted, or a segmenter, which is for files.
        """
        if self.generator is None:
            raise InputError("expected a fitted generator; load a head from its folder (Spatialize.load)")
        refuse_segmenter(self.options.segmenter)
        fabric = single_process(self.options.train.precision)
        generator = self.generator.to(fabric.device).eval()
        features, schedule = FrameFeatures(generator, frames), WindowSchedule(self.options.hop, batch)
        calibration = read_calibration(self.folder, generator) if self.options.method == "calibrated" else None
        return StreamingSpatializer(generator, features, sample_rate, schedule, fabric, calibration)

    def _evaluated(
        self, generator: Generator, training: Manifest, held_out: Manifest, folder: Path
    ) -> dict[str, float]:
        fabric = single_process(self.options.train.precision)
        (folder / FIGURES).mkdir(exist_ok=True)
        plots = ClipPlots(folder / FIGURES, generator, held_out, load_foreground(self.options.segmenter, generator))
        other, heat_map = read_audio_only(generator, self.options), read_heat_map(generator, self.options)
        with interrupt_on_signals():
            prior = spatial_prior(training, generator) if len(training) else None
            audio_only = None if other is None else other.to(fabric.device)
            rows = EvaluationRows(generator, prior, self.options, fabric, audio_only, heat_map)
            most = self.options.calibrate
            write_prior(folder, prior, rows.calibrate(training, most) if most else None)
            trained = [row.key for row in training] if training.root == held_out.root else []
            evaluation = Evaluation(rows, self.options, trained)
            directions = ClipDirections(generator.sample_rate)

            def look(row: Row, outputs: Outputs, target: Tensor) -> None:
                plots.add(row, outputs, target)
                directions.add(row, outputs, target)

            metrics = evaluation.run(held_out, look)
        write_evaluated_clips(folder, directions.evaluated(held_out, evaluation.by_clip))
        self.summary = evaluation_table(metrics, rows.absent)
        write_text(folder / TABLE, self.summary)
        write_text(folder / BY_CLIP, by_clip_csv(evaluation.by_clip))
        return metrics | {
            "sample_rate": float(generator.sample_rate),
            "normalised_to_peak": float(self.options.normalisation == "peak"),
            "seed": float(self.options.train.seed),
        }


def read_audio_only(generator: Generator, options: SpatializeOptions) -> Generator | None:
    """The generator of the row `audio_only`; None where no folder is named.

    Raises:
        InputError: no fitted generator, one that was trained with frames, or one of another output or sample rate.
    """
    if not options.audio_only:
        return None
    other, _ = read_generator(Path(options.audio_only), {})
    if other.uses_frames:
        raise InputError(
            f"{options.audio_only}: expected a generator trained without frames (visual_branch=none), got one with "
            "frames; train one with --visual-branch none"
        )
    formats = [f"{each.output} at {each.sample_rate} Hz" for each in (generator, other)]
    if formats[0] != formats[1]:
        raise InputError(f"{options.audio_only}: expected a generator of {formats[0]}, got one of {formats[1]}")
    return other


def read_heat_map(generator: Generator, options: SpatializeOptions) -> DirectionPrior | None:
    """The dense task of the row `heat_map`; None where there is none.

    Raises:
        InputError: a generator that does not make ambisonics of mono audio, no such run, or one of another task.
    """
    if not options.heat_map:
        return find_direction_prior(generator)
    if generator.output != "foa" or not generator.panoramic:
        raise InputError(
            f"heat_map={options.heat_map}: expected a generator of first-order ambisonics from 360-degree frames, got "
            f"{options.generator}, whose output is {generator.output}"
        )
    return load_direction_prior(Path(options.heat_map), generator.sample_rate, "heat_map")


def run_config(options: SpatializeOptions) -> dict[str, Any]:
    """The content of `config.yaml`, as `avssl report` reads it."""
    settings = asdict(options)
    towers = [options.visual_branch, *([] if options.audio_branch == "none" else [f"audio {options.audio_branch}"])]
    title = options.title or f"{options.generator} {', '.join(towers)}"
    return {"task": "spatialize", "features": {"name": options.generator}, **settings, "title": title}


def check_folder(folder: Path, options: SpatializeOptions) -> None:
    """Check that a run may be started or continued in a folder; options newer than the folder have their defaults.

    Raises:
        InputError: the folder belongs to a run of other options, or of another avssl.
    """
    if not (folder / CONFIG).is_file():
        if (folder / LAST).is_file():
            raise InputError(f"{folder}: expected {CONFIG} beside the checkpoint, got none; use another folder")
        return
    check_format(folder)
    defaults = OmegaConf.create(run_config(SpatializeOptions(visual_branch="scratch", audio_branch="none")))
    before: Any = OmegaConf.to_container(OmegaConf.merge(defaults, read_config(folder)))
    check_same(folder, before, run_config(options), MAY_CHANGE)
