"""Rows of the table on real clips: encoders, adapted or not, and the observer that points straight ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from avssl import plugins
from avssl.config import DataConfig, RunConfig
from avssl.datasets.manifest import Manifest
from avssl.embedding.trained_task import load_own_weights
from avssl.evaluation.dense_localization import DenseTask
from avssl.evaluation.dense_reference import score_against_energy
from avssl.evaluation.straight_ahead import StraightAhead, alignment_score, alignment_threshold, window_directions
from avssl.evaluation.true_yaw import YAWS, YawScorer, alignments, true_yaw_ranks, true_yaw_similarities
from avssl.evaluation.video_folds import Fold, video_count
from avssl.evaluation.yaw_scorers import yaw_scorer
from avssl.io.hashing import sha256
from avssl.models.encoder_io import WEIGHTS
from avssl.models.runtime import evaluating, single_process
from avssl.reproduce.encoder_runs import tower_passes
from avssl.reproduce.fold_outcomes import Scores
from avssl.reproduce.fold_training import FoldTrainer, FoldTraining
from avssl.reproduce.network_passes import Passes
from avssl.runs.run_folder import ENCODERS, TASK
from avssl.task import Task
from avssl.train.pretrain import build_task, fit_statistics
from avssl.train.resolved_run import PROBE, ResolvedRun, resolve_run

RANK, ERROR, CLEAR = "true_yaw_rank", "direction_error", "direction_error_clear"
AVSA, AMONG_YAWS = "avsa_bin", "avsa_bin_among_yaws"
SEEDS = 1000
"""Seeds of the folds of a partition: random weights and draws differ from fold to fold."""
CLEAR_BELOW = 0.5
"""Diffuseness below which a window has a clear direction."""


@dataclass(frozen=True)
class StraightAheadRow:
    """Scores of the observer that points straight ahead; its threshold for AVSA-Bin is from the training clips.

    Args:
        data: length of the windows.
        sample_rate: Hz of the audio.
        windows: of each clip.
    """

    data: DataConfig
    sample_rate: int
    windows: int
    name: str = "straight-ahead"
    title: str = "straight ahead"

    def settings(self, repeat: int) -> dict[str, Any]:
        """See `FoldMethod.settings`."""
        return {"seconds": self.data.seconds, "sample_rate": self.sample_rate, "windows": self.windows}

    def scores(self, fold: Fold, videos: Mapping[str, str], repeat: int, folder: Path) -> Scores:
        """See `FoldMethod.scores`."""
        common = self.data, self.sample_rate, repeat
        training = window_directions(fold.training, *common, self.windows)
        test = window_directions(fold.test, *common, self.windows)
        limit, fabric = alignment_threshold(training), single_process("32-true")
        return {
            **yaw_scores(StraightAhead(), fold.test, *common, fabric, self.windows),
            AVSA: [(each.key, alignment_score(each, limit)) for each in test],
            **direction_errors([(each.key, each.error, each.diffuseness) for each in test]),
        }

    def passes(self, fold: Fold, repeat: int) -> Sequence[Passes]:
        """None: reading takes the time."""
        return []


@dataclass(frozen=True)
class EncoderRow:
    """Encoders of pretraining runs or with random weights, trained on the training clips or as they are.

    Args:
        name: of its folders.
        title: in the table.
        runs: run folders of pretraining, of one config but for the seed; partitions take them in turn.
        config: of these runs.
        pretrained: False: random weights instead of theirs.
        training: on the training clips; None: none.
        windows: of each clip, for ranks and directions.
    """

    name: str
    title: str
    runs: tuple[Path, ...]
    config: RunConfig
    pretrained: bool
    training: FoldTraining | None
    windows: int

    def settings(self, repeat: int) -> dict[str, Any]:
        """See `FoldMethod.settings`."""
        training = asdict(self.training) if self.training else None
        own: dict[str, Any] = {"windows": self.windows, "training": training, "weights": "random"}
        if self.pretrained:
            run = self.runs[repeat % len(self.runs)]
            own["weights"] = [sha256(run / ENCODERS / WEIGHTS), sha256(run / TASK)]
        config = asdict(self.config)
        data = {key: value for key, value in config["data"].items() if key != "workers"}
        return own | {"config": {**config, "data": data, "train": {"precision": self.config.train.precision}}}

    def scores(self, fold: Fold, videos: Mapping[str, str], repeat: int, folder: Path) -> Scores:
        """See `FoldMethod.scores`."""
        run, fabric = self._resolved(SEEDS * repeat + fold.number), single_process(self.config.train.precision)
        task = self.start(run, fold.training, repeat)
        if self.training:
            trainer = FoldTrainer(task, run.config, self.training, folder, fabric)
            trainer.train(fold.training, dict(videos))
        with evaluating(task.to(fabric.device)):
            return self._evaluate(task, run, fold, videos, fabric)

    def start(self, run: ResolvedRun, clips: Manifest, repeat: int) -> Task:
        """The task before training: with the weights of a run, or random ones and the statistics of some clips."""
        if not self.pretrained:
            task = build_task(run)
            fit_statistics(task.encoders, run.config, clips)
            return task
        return load_task(run, self.runs[repeat % len(self.runs)])

    def passes(self, fold: Fold, repeat: int) -> Sequence[Passes]:
        """Training, embeddings of pairs, and audio for each yaw."""
        probe, test = self._run.probe, len(fold.test)
        drawn = probe.crops * (probe.train_draws * len(fold.training) + probe.test_draws * test)
        turned = probe.crops * self.windows * test
        counts = {("video", False): drawn + turned, ("audio", False): 2 * drawn + YAWS * turned}
        if self.training:
            clips = self.training.steps * min(self.config.data.batch, len(fold.training))
            counts |= {(tower, True): clips * getattr(self._run.options, "crops", 1) for tower in ("video", "audio")}
        return [replace(self._windows[kind], count=float(count)) for kind, count in counts.items()]

    @cached_property
    def _run(self) -> ResolvedRun:
        return resolve_run(self.config)

    @cached_property
    def _windows(self) -> dict[tuple[str, bool], Passes]:
        """One window through a tower, with gradients or without."""
        return {
            (tower, trained): tower_passes(self.config, tower, 1.0, trained=trained)
            for tower in ("video", "audio")
            for trained in (False, True)
        }

    def _resolved(self, seed: int) -> ResolvedRun:
        """The run's config with the seed of a fold, and the options of the head that evaluates."""
        config = replace(self.config, train=replace(self.config.train, seed=seed))
        return replace(self._run, config=config)

    def _evaluate(self, task: Task, run: ResolvedRun, fold: Fold, videos: Mapping[str, str], fabric: Fabric) -> Scores:
        seed, data, rate = run.config.train.seed, run.config.data, task.encoders.sample_rate
        options = replace(run.probe, seed=seed)
        head = plugins.load(plugins.HEADS, PROBE)(task.encoders, options)
        found: Scores = head.fold_scores(fold.training, fold.test, videos)
        crops = replace(head.options, crop_guide="random")
        scorer = yaw_scorer(task, crops)
        found |= yaw_scores(scorer, fold.test, data, rate, seed, fabric, self.windows)
        if isinstance(task, DenseTask):
            windows = score_against_energy(task, fold.test, data, rate, seed, fabric, self.windows)
            found |= direction_errors([(each.row.key, each.error, each.diffuseness) for each in windows])
        return found


def yaw_scores(
    scorer: YawScorer, clips: Manifest, data: DataConfig, rate: int, seed: int, fabric: Fabric, windows: int
) -> Scores:
    """Ranks of the true yaw, and AVSA-Bin by them; arguments as of `true_yaw_similarities`."""
    found = true_yaw_similarities(scorer, clips, data, rate, seed, fabric, windows)
    return {RANK: true_yaw_ranks(found), AMONG_YAWS: alignments(found)}


def direction_errors(windows: Sequence[tuple[str, float, float]]) -> Scores:
    """Errors of all windows, and of those with a clear direction.

    Args:
        windows: key of a clip, degrees, diffuseness.
    """
    found = {ERROR: [(key, error) for key, error, _ in windows]}
    clear = [(key, error) for key, error, diffuseness in windows if diffuseness < CLEAR_BELOW]
    return found | ({CLEAR: clear} if clear else {})


def load_task(run: ResolvedRun, folder: Path) -> Task:
    """Task with the weights of a run folder: of its encoders, and its own.

    Raises:
        InputError: missing or broken files, or weights of another config.
    """
    task = build_task(replace(run, init=str(folder)))
    load_own_weights(task, folder)
    return task


def clips_per_video(clips: Manifest, videos: Mapping[str, str]) -> str:
    """Such as `24 clips of 18 videos`."""
    return f"{len(clips)} clips of {video_count(clips, dict(videos))} videos"
