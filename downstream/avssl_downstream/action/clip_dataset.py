"""A tower trained on labelled videos, under a linear classifier."""

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
from avssl_downstream.action.augment_views import view
from avssl_downstream.action.options import ActionOptions


@dataclass(frozen=True)
class Clips:
    """Batches of clips at random instants of videos; every pass shows each video once, in another order."""

    paths: Sequence[Path]
    latest: Sequence[float]
    """Seconds at which the last clip of each video begins."""
    labels: Tensor
    """`(videos,)`."""
    passes: int
    options: ActionOptions

    @property
    def steps(self) -> int:
        """Of all passes."""
        return max(1, self.passes * len(self.paths) // self.options.batch)

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop - 1`: `video` `(batch, time, 3, size, size)`, `label` `(batch,)`."""
        return in_order(self.read, range(start, stop), self.options.workers)

    def read(self, step: int) -> Batch:
        """One batch."""
        rng = np.random.default_rng((self.options.seed, step))
        draws = range(step * self.options.batch, (step + 1) * self.options.batch)
        places = [self._place(draw) for draw in draws]
        return {"video": torch.stack([self._clip(place, rng) for place in places]), "label": self.labels[places]}

    def _place(self, draw: int) -> int:
        times, place = divmod(draw, len(self.paths))
        return int(permutation(len(self.paths), self.options.seed, times)[place])

    def _clip(self, place: int, rng: np.random.Generator) -> Tensor:
        start = rng.uniform(0, self.latest[place])
        return view(read_window_frames(self.paths[place], start, self._whole), self.options, rng)

    @property
    def _whole(self) -> Reading:
        """Whole pictures: parts are cut from them as they are."""
        return replace(self.options.reading(), resize=0, size=0)
