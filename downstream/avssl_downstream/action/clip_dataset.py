"""Training clips: random windows of labelled videos, augmented, in batches that are a function of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.data.clip_options import Reading
from avssl.data.loader import permutation
from avssl.data.window_reader import read_window_frames
from avssl.data.worker_loader import Batch, in_order
from avssl_downstream.action.clip_augmentation import augment_clip
from avssl_downstream.action.options import ActionOptions


@dataclass(frozen=True)
class TrainingClips:
    """Batches of clips at random start times; every pass reads each video once, in a new random order."""

    paths: Sequence[Path]
    last_starts: Sequence[float]
    """Latest start time of a clip in each video, in seconds."""
    labels: Tensor
    """`(videos,)`."""
    passes: int
    options: ActionOptions

    @property
    def steps(self) -> int:
        """Number of batches in all passes."""
        return max(1, self.passes * len(self.paths) // self.options.batch)

    @property
    def workers(self) -> int:
        """Loader processes."""
        return self.options.workers

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`: `video` `(batch, time, 3, size, size)`, `label` `(batch,)`."""
        return in_order(self.read, range(start, stop), self.options.workers)

    def read(self, step: int) -> Batch:
        """One batch."""
        rng = np.random.default_rng((self.options.seed, step))
        draws = range(step * self.options.batch, (step + 1) * self.options.batch)
        indices = [self._video_index(draw) for draw in draws]
        return {"video": torch.stack([self._clip(index, rng) for index in indices]), "label": self.labels[indices]}

    def _video_index(self, draw: int) -> int:
        epoch, position = divmod(draw, len(self.paths))
        return int(permutation(len(self.paths), self.options.seed, epoch)[position])

    def _clip(self, index: int, rng: np.random.Generator) -> Tensor:
        start = rng.uniform(0, self.last_starts[index])
        return augment_clip(read_window_frames(self.paths[index], start, self._uncropped), self.options, rng)

    @property
    def _uncropped(self) -> Reading:
        """Full frames at their own size: random crops are taken from them."""
        return replace(self.options.reading(), resize=0, size=0)
