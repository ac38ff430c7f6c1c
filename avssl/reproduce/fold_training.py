"""Training of a pretext task on the clips of a few videos; the number of steps is chosen on videos of its own."""

# B clips of a batch

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from zlib import crc32

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file

from avssl.config import DataConfig, OptimConfig, RunConfig
from avssl.data.loader import Views, read_clip
from avssl.data.worker_loader import Batch, in_order
from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.io.atomic import durably_replacing, write_text
from avssl.io.loader_process import stacked
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.models.runtime import evaluating
from avssl.regular_files import read_json
from avssl.task import Task
from avssl.train import checkpoint
from avssl.train.loop import fit

logger = logging.getLogger(__name__)

CHOICE, BEST = "steps.json", "best.safetensors"
LEAST_VIDEOS = 2
"""Videos of a batch: a contrastive loss has no other negatives."""
NEVER = 2**31
PASSES = 8
"""Batches of validation videos by which a number of steps is judged, always the same."""


@dataclass(frozen=True)
class FoldTraining:
    """Training on the training videos of a fold."""

    steps: int = 60
    """Largest number of optimiser steps."""
    lr: float = 1e-4
    """Learning rate, constant after the warm-up; all else of the optimiser is as in pretraining."""
    warmup: int = 10
    """Length of the linear warm-up, steps."""
    every: int = 15
    """Interval between the numbers of steps to choose from, steps; none is one of them."""
    validation: float = 0.25
    """Share of the training videos that are not trained on but choose the number of steps by the task's loss; 0: all
    are trained on, for the largest number."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name in ("steps", "lr", "every"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"expected a positive {name} of training on a fold, got {getattr(self, name)}")
        if self.warmup < 0 or not 0 <= self.validation < 1:
            found = f"{self.warmup} and {self.validation}"
            raise InputError(f"expected warmup >= 0 and 0 <= validation < 1, got {found}")

    def optimiser(self, config: RunConfig) -> OptimConfig:
        """That of a run, with this learning rate."""
        return replace(config.optim, lr=self.lr, warmup=self.warmup, schedule="constant")


@dataclass(frozen=True)
class FoldTrainer:
    """A task in training on the training videos of a fold.

    The weights with the lowest loss on validation videos win; those before training take part, so that the task is kept
    as it was where training made it no better.

    Args:
        task: trained in place.
        config: run whose data, precision and seed are used; its seed also draws the validation videos.
        options: length, rate, choice.
        folder: takes checkpoints; training continues from them.
        fabric: one process.
    """

    task: Task
    config: RunConfig
    options: FoldTraining
    folder: Path
    fabric: Fabric

    def train(self, clips: Manifest, videos: dict[str, str]) -> int:
        """Train, and give the task the chosen weights.

        Args:
            clips: of the training videos.
            videos: key of a clip -> name of its video.

        Returns:
            The chosen number of steps.

        Raises:
            InputError: too few videos, a broken file, or a loss that is not finite.
            SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C.
        """
        seed, rate = self.config.train.seed, self.task.encoders.sample_rate
        train, held = split_videos(clips, videos, self.options.validation, seed)
        training = VideoBatches(train, videos, self.task.views, self.config.data, rate, seed)
        if not len(held):
            self._fit(training, self.options.steps)
            return self.options.steps
        self._validate(training, replace(training, clips=held, seed=seed + 1))
        load_tensors(self.task, read_tensors(self.folder / BEST), str(self.folder / BEST))
        chosen = chosen_steps(self.folder)
        assert chosen is not None, "validation has written its losses"
        logger.info("%s: %d of %d steps chosen by the validation loss", self.folder, chosen, self.options.steps)
        return chosen

    def _validate(self, training: VideoBatches, validation: VideoBatches) -> None:
        """Train, write validation losses, and keep the weights with the lowest one in `best.safetensors`."""
        losses = _read_losses(self.folder) if (self.folder / BEST).is_file() else {}
        last = self.options.steps
        for steps in [*range(0, last, self.options.every), last]:
            if steps:
                self._fit(training, steps)
            if steps not in losses:
                loss = validation_loss(self.task, validation, self.fabric)
                if loss < min(losses.values(), default=math.inf):
                    self._keep()
                losses[steps] = loss
                write_text(self.folder / CHOICE, json.dumps(losses) + "\n")

    def _keep(self) -> None:
        weights = {name: each.cpu().contiguous() for name, each in self.task.state_dict().items()}
        with durably_replacing(self.folder / BEST) as part:
            save_file(weights, part)

    def _fit(self, training: VideoBatches, steps: int) -> None:
        """Train up to a number of steps, from the checkpoint if there is one."""
        length = replace(self.config.train, steps=steps, save_every=steps, show_every=NEVER)
        optim, title = self.options.optimiser(self.config), "training on a fold"
        fit(self.task, training, length, optim, self.folder, fabric=self.fabric, title=title)


def split_videos(clips: Manifest, videos: dict[str, str], share: float, seed: int) -> tuple[Manifest, Manifest]:
    """Clips to train on, and those of the videos that choose the number of steps.

    Args:
        clips: of all training videos of a fold.
        videos: key of a clip -> name of its video.
        share: of the videos that choose; 0: none.
        seed: of the draw.

    Raises:
        InputError: fewer than 2 videos on a side that is not empty by choice.
    """
    names = sorted({videos[row.key] for row in clips})
    count = max(LEAST_VIDEOS, round(share * len(names))) if share else 0
    if len(names) - count < LEAST_VIDEOS:
        wanted = count + LEAST_VIDEOS
        advice = "; choose fewer folds, or validation=0" if share else "; choose fewer folds"
        raise InputError(f"{clips.root}: expected at least {wanted} videos to train on, got {len(names)}{advice}")
    drawn = np.random.default_rng((seed, crc32(b"validation"))).permutation(len(names))[:count]
    held = {names[place] for place in drawn}
    sides = [tuple(row for row in clips if (videos[row.key] in held) is side) for side in (False, True)]
    return Manifest(sides[0], clips.root), Manifest(sides[1], clips.root)


@dataclass(frozen=True)
class VideoBatches:
    """Batches with one random clip of each video, so that no negative is of the same video; a function of the step."""

    clips: Manifest
    videos: dict[str, str]
    """Key of a clip -> name of its video."""
    views: Views
    data: DataConfig
    """Windows, loader processes, and the largest batch."""
    sample_rate: int
    seed: int

    @property
    def workers(self) -> int:
        """Loader processes."""
        return self.data.workers

    def between(self, start: int, stop: int) -> Generator[Batch, None, None]:
        """The batches of steps `start` to `stop - 1`."""
        yield from in_order(partial(_read, self), range(start, stop), self.workers)

    def rows(self, step: int) -> list[Row]:
        """Clips of a batch, of different videos."""
        by_video: dict[str, list[Row]] = defaultdict(list)
        for row in self.clips:
            by_video[self.videos[row.key]].append(row)
        rng = np.random.default_rng((self.seed, step, crc32(b"videos")))
        chosen = rng.permutation(sorted(by_video))[: self.data.batch]
        return [by_video[name][rng.integers(len(by_video[name]))] for name in chosen]


def _read(batches: VideoBatches, step: int) -> Batch:
    found = []
    for row in batches.rows(step):
        rng = np.random.default_rng((batches.seed, step, crc32(row.key.encode())))
        clip = read_clip(row, batches.clips.root, batches.data, batches.sample_rate, rng)
        found.append(batches.views(clip, rng))
    return {name: stacked([each[name] for each in found]) for name in found[0]}


def chosen_steps(folder: Path) -> int | None:
    """Number of steps with the lowest validation loss in a fold's folder, the least of equals; None: not chosen so.

    Raises:
        InputError: the file of losses holds something else.
    """
    losses = _read_losses(folder)
    return min(losses, key=lambda steps: (losses[steps], steps)) if losses else None


def remove_checkpoints(folder: Path) -> None:
    """Remove what training on a fold needs to continue, once the fold is evaluated."""
    for name in (checkpoint.LAST, BEST):
        (folder / name).unlink(missing_ok=True)


@torch.inference_mode()
def validation_loss(task: Task, batches: VideoBatches, fabric: Fabric) -> float:
    """Mean loss of a task over batches of validation videos, in evaluation mode."""
    found = []
    with evaluating(task.to(fabric.device)), closing(batches.between(0, PASSES)) as stream:
        for batch in stream:
            with fabric.autocast():
                found.append(float(task(fabric.to_device(batch))["loss"]))
    return fmean(found)


def _read_losses(folder: Path) -> dict[int, float]:
    path = folder / CHOICE
    if not path.exists():
        return {}
    found = read_json(path, "validation losses by steps in JSON")
    try:
        return {int(steps): float(loss) for steps, loss in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected validation losses by steps: {error!r}; remove its folder") from error
