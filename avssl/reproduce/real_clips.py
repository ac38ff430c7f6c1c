"""Encoders on recordings by cross-validation over videos: not trained on them, adapted, trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from avssl.config import RunConfig, fill
from avssl.config_fields import plugin_options
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.true_yaw import ALIGNED, CHANCE_RANK, MOST_AMONG_YAWS
from avssl.evaluation.video_folds import check_fold_count, deal_folds, video_count, video_of_clips
from avssl.media.streams import AudioReader
from avssl.plugins import HEADS
from avssl.reproduce.fold_methods import (
    AMONG_YAWS,
    AVSA,
    CLEAR,
    CLEAR_BELOW,
    ERROR,
    RANK,
    EncoderRow,
    StraightAheadRow,
    clips_per_video,
)
from avssl.reproduce.fold_outcomes import read_scores
from avssl.reproduce.fold_run import FoldMethod, FoldRun
from avssl.reproduce.fold_table import FoldTable, ScoreColumn, ScoredRow
from avssl.reproduce.fold_training import FoldTraining, chosen_steps
from avssl.runs.reader import CONFIG, flat, read_config
from avssl.runs.run_folder import ENCODERS, TASK
from avssl.train.resolved_run import PROBE, resolve_run

NAME = "real-clips"
"""Of the command."""
STRAIGHT, UNTRAINED, SCRATCH, PRETRAINED, ADAPTED = "straight-ahead", "untrained", "scratch", "pretrained", "adapted"
ROWS = (STRAIGHT, UNTRAINED, SCRATCH, PRETRAINED, ADAPTED)
TITLES = {
    UNTRAINED: "untrained encoders",
    SCRATCH: "trained on the training videos from scratch",
    PRETRAINED: "pretrained, not adapted",
    ADAPTED: "pretrained, adapted on the training videos",
}
COLUMNS = (
    ScoreColumn(AVSA, "AVSA-Bin %", 0.5, scale=100),
    ScoreColumn("avc_bin", "AVC-Bin %", 0.5, scale=100),
    ScoreColumn("retrieval_r1", "R@1 %", "retrieval_r1_chance", scale=100),
    ScoreColumn("retrieval_pair", "right of two %", 0.5, scale=100),
    ScoreColumn(RANK, "rank of true yaw of 12", CHANCE_RANK, digits=2),
    ScoreColumn(AMONG_YAWS, "AVSA-Bin by rank %", 0.5, scale=100),
    ScoreColumn(ERROR, "direction error, mean °", 90.0),
    ScoreColumn(ERROR, "median °", 90.0, "median"),
    ScoreColumn(CLEAR, "of clear windows, mean °", 90.0),
    ScoreColumn(CLEAR, "median °", 90.0, "median"),
)
SEED_KEYS = ("train.seed", "title", "published", "probe", "model.init", "data.workers", "train.log_every",
             "train.save_every", "train.show_every")  # fmt: skip
"""Prefixes of keys in which the runs of a row may differ."""


@dataclass(frozen=True)
class RealClipsOptions:
    """Folds, windows, training on folds, and probes."""

    folds: int = 6
    """Folds of a partition of the videos."""
    repeats: int = 3
    """Random partitions; each fold has seeds of its own."""
    group_by: str = "source"
    """Video of a clip: a column of the manifest (source, key, video, audio, split); or a regular expression that is
    searched in the file name of its recording, such as '(.+)_\\d+' for clips ID_START, of which the first group names
    the video."""
    windows: int = 8
    """Windows of each test clip that are compared with rotated sound fields, evaluated together, and that directions
    are measured in."""
    adapt: FoldTraining = field(default_factory=FoldTraining)
    """Training from pretrained encoders."""
    scratch: FoldTraining = field(default_factory=lambda: FoldTraining(240, 1e-3, 30, 60))
    """Training from random weights."""
    probe: dict[str, Any] = plugin_options(HEADS, name=PROBE)
    """Options of the correspondence head, above those of the pretraining runs."""
    bootstrap: int = 2000
    """Bootstrap samples of the videos for each interval."""
    workers: int = 2
    """Loader processes."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("repeats", "windows", "bootstrap"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.folds < 2 or self.workers < 0:
            raise InputError(f"expected folds >= 2 and workers >= 0, got {self.folds} and {self.workers}")


@dataclass(frozen=True)
class RealClips:
    """The table: rows, folds over videos, and its files.

    Args:
        out: folder of all runs and of the table.
        clips: first-order ambisonics and equirectangular video.
        videos: key of a clip -> name of its video.
        methods: rows.
        options: folds, repeats, bootstrap.
    """

    out: Path
    clips: Manifest
    videos: dict[str, str]
    methods: tuple[FoldMethod, ...]
    options: RealClipsOptions

    def runs(self) -> list[FoldRun]:
        """Partition by partition, row by row, fold by fold."""
        return [
            FoldRun(self._folder(method, repeat, fold.number), method, fold, self.videos, repeat)
            for repeat in range(self.options.repeats)
            for method in self.methods
            for fold in deal_folds(self.clips, self.videos, self.options.folds, repeat)
        ]

    def write(self) -> str:
        """Write the table of the finished runs, every number and the scores by video; returns the table."""
        return self.table().write(self.out, self.notes())

    def table(self) -> FoldTable:
        """Rows from the scores of all finished folds."""
        rows = [
            ScoredRow(each.title, read_scores(self._folders(each)), isinstance(each, EncoderRow))
            for each in self.methods
        ]
        titles = [row.title for row in rows if row.compared]
        baseline = next((each for each in titles if each == TITLES[PRETRAINED]), titles[0] if titles else "")
        return FoldTable(COLUMNS, rows, baseline, self.options.bootstrap)

    def notes(self) -> list[str]:
        """Conditions of the numbers."""
        own = self.options
        found = [
            f"{clips_per_video(self.clips, self.videos)}, {own.folds} folds over videos, {own.repeats} random "
            "partition(s); no video is on both sides of a fold. Each video weighs the same; in brackets the 95 % "
            "interval over videos (bootstrap); differences are paired by video.",
            "Probes of AVSA-Bin, AVC-Bin and retrieval are fitted to the training videos; mismatched audio and "
            "retrieved pairs are of the test videos of the fold; pairs of one video are relevant alike.",
            f"Rank of the true yaw among 12 rotations of the sound field, {own.windows} windows of a clip together, by "
            "the similarity of audio and frames, without a probe. Straight ahead: the level of sound in front.",
            f"AVSA-Bin by rank: of single windows, aligned up to rank {ALIGNED}, against a uniformly random yaw; "
            f"at most {MOST_AMONG_YAWS:.1%}.",
            f"Random crops. Clear windows: diffuseness of the sound field below {CLEAR_BELOW:g}.",
        ]
        trained = [each for each in self.methods if isinstance(each, EncoderRow) and each.training]
        return [*found, *map(self._training_note, trained)]

    def _training_note(self, method: EncoderRow) -> str:
        how, folders = method.training, self._folders(method)
        assert how is not None
        chosen = [steps for each in folders if (steps := chosen_steps(each)) is not None]
        if not chosen:
            return f"{method.title}: {how.steps} steps at {how.lr:g} on all training videos."
        numbers = ", ".join(map(str, chosen))
        return (
            f"{method.title}: up to {how.steps} steps at {how.lr:g}; their number, {numbers} in the folds, is chosen "
            f"by the loss on {how.validation:.0%} of the training videos."
        )

    def _folders(self, method: FoldMethod) -> list[Path]:
        own = self.options
        return [self._folder(method, repeat, fold) for repeat in range(own.repeats) for fold in range(own.folds)]

    def _folder(self, method: FoldMethod, repeat: int, fold: int) -> Path:
        return self.out / "folds" / f"{method.name}-repeat{repeat}-fold{fold}"


def real_clips(
    data: str, encoders: Sequence[Path], out: Path, options: RealClipsOptions, rows: Sequence[str] = ROWS
) -> RealClips:
    """The table of a manifest and the encoders of pretraining runs.

    Args:
        data: a `manifest.parquet` or its folder.
        encoders: run folders of pretraining, of one config but for the seed; partitions take them in turn.
        out: folder of all runs and of the table.
        options: folds, windows, training, probes.
        rows: of `ROWS`.

    Raises:
        InputError: an unusable manifest, clips without first-order ambisonics, too few videos, runs that differ in more
            than the seed, or more runs than partitions.
    """
    clips = read_manifest(data)
    check_foa(clips)
    videos = video_of_clips(clips, options.group_by)
    check_fold_count(clips, video_count(clips, videos), options.folds)
    config = runs_config(encoders, options)
    if len(encoders) > options.repeats:
        raise InputError(
            f"expected at least as many repeats as runs of encoders, {len(encoders)}, got {options.repeats}"
        )
    return RealClips(out, clips, videos, tuple(_method(row, encoders, config, options) for row in rows), options)


def check_foa(clips: Manifest) -> None:
    """Check that the audio of all clips is first-order ambisonics, by its channels.

    Raises:
        InputError: a clip's audio is not.
    """
    channels = {path: AudioReader(clips.root / path).channels for path in dict.fromkeys(row.audio for row in clips)}
    if wrong := [row for row in clips if channels[row.audio] != 4]:
        first = wrong[0]
        raise InputError(
            f"{clips.root / first.audio}: expected first-order ambisonics, 4 channels, got {channels[first.audio]} "
            f"(clip {first.key}, {len(wrong)} of {len(clips)} clips); prepare 360-degree recordings with ambisonics"
        )


def runs_config(encoders: Sequence[Path], options: RealClipsOptions) -> RunConfig:
    """Config of pretraining runs, with the loader processes and probes of the table.

    Raises:
        InputError: no run folder, or runs of different configs.
    """
    configs = [_read_config(run) for run in encoders]
    if not configs:
        raise InputError("expected run folders of pretraining (--encoders RUN), got none")
    settings = [_compared(each) for each in configs]
    for run, each in zip(encoders, settings, strict=True):
        different = [key for key in sorted(settings[0].keys() | each.keys()) if settings[0].get(key) != each.get(key)]
        if different:
            key = different[0]
            raise InputError(
                f"{run}: expected a run that differs from {encoders[0]} in its seed only, got {key} "
                f"{each.get(key)!r} instead of {settings[0].get(key)!r}"
            )
    return _on_recordings(configs[0], options)


def _on_recordings(config: RunConfig, options: RealClipsOptions) -> RunConfig:
    """A run's config for recordings, which have no ground truth of objects: crops are random."""
    data = replace(config.data, workers=options.workers, detector="")
    task = {**config.options, "crop_guide": "random"} if "crop_guide" in config.options else config.options
    probe = {**config.probe, **options.probe, "enabled": True}
    model = replace(config.model, init="")
    found = replace(config, data=data, options=task, probe=probe, model=model, title="", published={})
    resolve_run(found)
    return found


def _read_config(run: Path) -> RunConfig:
    for needed in (CONFIG, ENCODERS, TASK):
        if not (run / needed).exists():
            raise InputError(
                f"{run}: expected the folder of a finished pretraining run, this has no {needed}; `avssl pretrain` "
                "makes one"
            )
    return fill(RunConfig, read_config(run), where=str(run / CONFIG))


def _compared(config: RunConfig) -> dict[str, Any]:
    return {key: value for key, value in flat(asdict(config)).items() if not key.startswith(SEED_KEYS)}


def _method(row: str, encoders: Sequence[Path], config: RunConfig, options: RealClipsOptions) -> FoldMethod:
    if row == STRAIGHT:
        return StraightAheadRow(config.data, config.features.sample_rate, options.windows)
    training = {SCRATCH: options.scratch, ADAPTED: options.adapt}.get(row)
    pretrained = row in (PRETRAINED, ADAPTED)
    return EncoderRow(row, TITLES[row], tuple(encoders), config, pretrained, training, options.windows)
