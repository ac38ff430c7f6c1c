"""Generators of spatial audio on recordings, trained and tested on different videos.

By cross-validation over videos, or by the protocol of Morgado et al. 2018: three random partitions, 75 % of the videos
for training and 25 % for testing. Metrics are averaged over the clips of a video, then over videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from avssl import plugins
from avssl.config_fields import plugin_options
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.video_folds import check_fold_count, deal_folds, video_count, video_of_clips
from avssl.plugins import HEADS
from avssl.recipe_files import resolve
from avssl.reproduce.fold_methods import clips_per_video
from avssl.reproduce.fold_outcomes import Outcomes, read_scores
from avssl.reproduce.fold_run import FoldRun
from avssl.reproduce.fold_table import FoldTable, ScoreColumn, ScoredRow
from avssl.reproduce.generator_rows import HEAD, GeneratorRow
from avssl.reproduce.real_clips import check_foa

NAME = "generator-clips"
"""Of the command."""
FITTED, CALIBRATED, ADAPTED, SCRATCH = "fitted", "calibrated", "adapted", "scratch"
ROWS = (FITTED, CALIBRATED, ADAPTED, SCRATCH)
CALIBRATION_CLIPS = 200
"""Training clips at most for the row `calibrated`."""
TITLES = {
    FITTED: "generator, not adapted",
    CALIBRATED: "generator, its level and a prior fitted on the training videos",
    ADAPTED: "generator, adapted on the training videos",
    SCRATCH: "trained on the training videos from scratch",
}
FLOORS = {"silence": "silence", "prior": "prior of the training videos", "ahead": "straight ahead"}
CEILINGS = {"best_real": "oracle: best real masks"}
"""Row of an evaluation -> its title."""
COLUMNS = (
    ScoreColumn("explained", "energy explained %", 0.0, scale=100),
    ScoreColumn("explained", "median %", 0.0, "median", scale=100),
    ScoreColumn("direction_error", "direction error, mean °", 90.0),
    ScoreColumn("direction_error", "median °", 90.0, "median"),
    ScoreColumn("stft", "STFT", "silence:stft", digits=3),
    ScoreColumn("env", "ENV", "silence:env", digits=4),
    ScoreColumn("emd_degrees", "EMD °", "silence:emd_degrees"),
)


@dataclass(frozen=True)
class GeneratorClipsOptions:
    """Folds, and training on them."""

    folds: int = 6
    """Parts of a partition of the videos; each is tested once by a generator that is trained on the others."""
    repeats: int = 1
    """Random partitions."""
    tested_folds: int = 0
    """Parts of each partition that are tested; 0: all. Morgado et al. 2018: folds=4, repeats=3, tested_folds=1."""
    group_by: str = "source"
    """Video of a clip: a column of the manifest, or a regular expression on the file name of its recording; see
    `avssl reproduce real-clips`."""
    adapt_steps: int = 120
    """Steps of training from the weights of the fitted generator."""
    adapt_lr: float = 3e-4
    """Learning rate of these."""
    head: dict[str, Any] = plugin_options(HEADS, name=HEAD)
    """Options of the head `spatialize`, above those of the recipe or of the fitted generator."""
    bootstrap: int = 2000
    """Bootstrap samples of the videos for each interval."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("repeats", "adapt_steps", "bootstrap"):
            if getattr(self, name) < 1:
                raise InputError(f"expected {NAME}.{name} of at least 1, got {getattr(self, name)}")
        if self.folds < 2 or not 0 <= self.tested_folds <= self.folds:
            raise InputError(
                f"expected {NAME}.folds >= 2 and tested_folds of 0 to folds, got {self.folds} and {self.tested_folds}"
            )
        if not self.adapt_lr > 0:
            raise InputError(f"expected {NAME}.adapt_lr above 0, got {self.adapt_lr}")


@dataclass(frozen=True)
class GeneratorClips:
    """The table: rows, folds over videos, and its files.

    Args:
        out: folder of all runs and of the table.
        clips: first-order ambisonics and equirectangular video.
        videos: key of a clip -> name of its video.
        methods: rows that are trained or evaluated.
        options: folds, repeats, bootstrap.
    """

    out: Path
    clips: Manifest
    videos: dict[str, str]
    methods: tuple[GeneratorRow, ...]
    options: GeneratorClipsOptions = field(default_factory=GeneratorClipsOptions)

    def runs(self) -> list[FoldRun]:
        """Partition by partition, row by row, fold by fold."""
        own = self.options
        return [
            FoldRun(self._folder(method, repeat, fold.number), method, fold, self.videos, repeat)
            for repeat in range(own.repeats)
            for method in self.methods
            if self._run_name(method) == method.name
            for fold in deal_folds(self.clips, self.videos, own.folds, repeat)[: self._tested]
        ]

    def write(self) -> str:
        """Write the table of the finished runs, every number and the scores by video; returns the table."""
        return self.table().write(self.out, self.notes())

    def table(self) -> FoldTable:
        """Rows from the scores of all finished folds; floors and the ceiling are those of the first row's folds."""
        found = [(method.title, read_scores(self._folders(method))) for method in self.methods]
        first = found[0][1]
        floors = [ScoredRow(title, of_row(first, name), False) for name, title in FLOORS.items()]
        rows = [
            ScoredRow(title, of_row(scores, method.row))
            for method, (title, scores) in zip(self.methods, found, strict=True)
        ]
        ceilings = [ScoredRow(title, of_row(first, name), False) for name, title in CEILINGS.items()]
        return FoldTable(COLUMNS, [*floors, *rows, *ceilings], rows[0].title, self.options.bootstrap)

    def notes(self) -> list[str]:
        """Conditions of the numbers."""
        own = self.options
        tested = f", {own.tested_folds} of them tested" if own.tested_folds else ""
        return [
            f"{clips_per_video(self.clips, self.videos)}, {own.folds} folds over videos{tested}, {own.repeats} random "
            "partition(s); no video is on both sides of a fold. Metrics are averaged over the clips of a video, then "
            "over videos; in brackets the 95 % interval over videos (bootstrap); differences are paired by video.",
            "The generator gets W of each clip and its frames; its output is compared with the recorded Y, Z and X, "
            "without a Z that was not recorded. Straight ahead: W as a plane wave from the front.",
            "Energy explained is that of each clip, 1 - error / error of silence, of STFT energy; clips of little "
            "directional energy weigh much in its mean, not in its median.",
        ]

    @property
    def _tested(self) -> int:
        return self.options.tested_folds or self.options.folds

    def _folders(self, method: GeneratorRow) -> list[Path]:
        return [
            self._folder(method, repeat, fold) for repeat in range(self.options.repeats) for fold in range(self._tested)
        ]

    def _folder(self, method: GeneratorRow, repeat: int, fold: int) -> Path:
        return self.out / "folds" / f"{self._run_name(method)}-repeat{repeat}-fold{fold}"

    def _run_name(self, method: GeneratorRow) -> str:
        """Row by whose runs a method is scored: a calibrated generator is evaluated as fitted, too."""
        shared = method.name == FITTED and any(each.name == CALIBRATED for each in self.methods)
        return CALIBRATED if shared else method.name


def of_row(scores: dict[str, Outcomes], row: str) -> dict[str, Outcomes]:
    """Scores of a row of the evaluations by metric; `silence:...` stay for the chance levels of columns."""
    own = {name.partition(":")[2]: each for name, each in scores.items() if name.startswith(f"{row}:")}
    return own | {name: each for name, each in scores.items() if name.startswith("silence:")}


def generator_clips(
    data: str,
    out: Path,
    options: GeneratorClipsOptions,
    head: Path | None = None,
    recipe: str = "",
    encoders: Path | None = None,
    rows: Sequence[str] = (),
) -> GeneratorClips:
    """The table of a manifest and a fitted generator, or a recipe.

    Args:
        data: a `manifest.parquet` or its folder.
        out: folder of all runs and of the table.
        options: folds, training.
        head: folder of a fitted generator; None: only the row `scratch`.
        recipe: of the row `scratch`; empty: the options of the fitted generator.
        encoders: run folder of pretraining, for branches `encoders`.
        rows: of `ROWS`; empty: all with a fitted generator and a recipe, else those that there can be.

    Raises:
        InputError: an unusable manifest, clips without first-order ambisonics, too few videos, or neither a fitted
            generator nor a recipe for a row.
    """
    clips = read_manifest(data)
    check_foa(clips)
    videos = video_of_clips(clips, options.group_by)
    check_fold_count(clips, video_count(clips, videos), options.folds)
    chosen = rows or [*((FITTED, CALIBRATED, ADAPTED) if head else ()), *((SCRATCH,) if recipe else ())]
    if not chosen or (head is None and set(chosen) - {SCRATCH}):
        raise InputError("expected a fitted generator (--head) or, for the row scratch, a recipe (--recipe), got none")
    methods = tuple(_method(row, options, head, recipe, encoders) for row in chosen)
    return GeneratorClips(out, clips, videos, methods, options)


def _method(
    row: str, options: GeneratorClipsOptions, head: Path | None, recipe: str, encoders: Path | None
) -> GeneratorRow:
    kind = plugins.load(HEADS, HEAD)
    if row == SCRATCH and (recipe or head is None):
        own = resolve(kind.Options, recipe, options.head, where=NAME)
    else:
        assert head is not None
        own = resolve(kind.Options, "", asdict(kind.load(head, {}).options), options.head, where=NAME)
    own = replace(own, decoded="all", title="", published={}, synthetic_dataset="", augment="", lists="")
    if row == ADAPTED:
        optim = replace(own.optim, lr=options.adapt_lr, warmup=min(own.optim.warmup, options.adapt_steps // 4))
        own = replace(own, train=replace(own.train, steps=options.adapt_steps), optim=optim)
    if row == CALIBRATED:
        own = replace(own, calibrate=CALIBRATION_CLIPS)
    folder, trained = None if row == SCRATCH else head, row in (ADAPTED, SCRATCH)
    return GeneratorRow(row, TITLES[row], own, folder, trained, encoders, CALIBRATED if row == CALIBRATED else "test")
