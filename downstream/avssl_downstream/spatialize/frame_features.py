"""The pictures that belong to windows of a sound, each read once and looked at once."""

# T pictures of a window

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from avssl_downstream.spatialize.generator import Generator

FrameReader = Callable[[Sequence[float], tuple[int, int]], Iterable[np.ndarray]]
"""The picture shown at each instant, seconds ascending, scaled to rows and columns, uint8 `(height, width, 3)` RGB."""
REMEMBERED = 64
"""Groups of pictures of which is kept what was seen."""


class FrameFeatures:
    """What a generator sees at any time of a file; times may go back by no more than the pictures kept.

    Instants are those of the generator's picture rate: neighbouring windows that fall on the same ones share what is
    seen there. Past the end of the pictures, the last one stays.

    Args:
        generator: whose `see` looks at them.
        frames: of the file.
        seconds: length of its pictures.
        changed: what is done with pictures first, such as to blank them or to turn them round.
    """

    def __init__(
        self,
        generator: Generator,
        frames: FrameReader,
        seconds: float,
        changed: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.generator, self.changed = generator, changed
        self.last = max(0, int(seconds * generator.frame_rate - 1e-6))
        self._shown = _Shown(frames, generator, self.last)
        self._seen: OrderedDict[int, Tensor] = OrderedDict()

    def at(self, seconds: Sequence[float]) -> Tensor:
        """What is seen about some times, ascending: `(len(seconds), ...)`, as the generator's `hear` takes it."""
        firsts = [self._first(each) for each in seconds]
        new = [each for each in dict.fromkeys(firsts) if each not in self._seen]
        if new:
            frames = torch.stack([self._group(each) for each in new])
            frames = frames if self.changed is None else self.changed(frames)
            device = next(self.generator.parameters()).device
            self._seen.update(zip(new, self.generator.encode_video(frames.to(device)), strict=True))
        found = torch.stack([self._seen[each] for each in firsts])
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return found

    def frames(self, seconds: float) -> Tensor:
        """Those about a time, uint8 `(T, 3, height, width)`."""
        return self._group(self._first(seconds))

    def _first(self, seconds: float) -> int:
        """Which instant is the first of the group about a time, as training places it: may be before the beginning."""
        # Not `round`, which goes to even numbers half-way and so leaves out every other instant.
        return math.floor(seconds * self.generator.frame_rate - self.generator.frames / 2 + 0.5 + 1e-6)

    def _group(self, first: int) -> Tensor:
        """Pictures from an instant on."""
        wanted = range(first, first + self.generator.frames)
        return torch.stack([self._shown[min(max(each, 0), self.last)] for each in wanted])


class FrameCache:
    """Pictures of a clip that several look at one after the other, at the same instants: each is decoded once.

    Args:
        frames: of the clip.
    """

    def __init__(self, frames: FrameReader) -> None:
        self._frames, self._kept = frames, list[np.ndarray]()
        self._waiting: Iterator[np.ndarray] | None = None

    def __call__(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """See `FrameReader`."""
        self._waiting = self._waiting or iter(self._frames(times, size))
        for index in range(len(times)):
            if index == len(self._kept):
                self._kept.append(next(self._waiting))
            yield self._kept[index]


class _Shown:
    """Pictures by instant, read in order; those of some groups are kept."""

    def __init__(self, frames: FrameReader, generator: Generator, last: int) -> None:
        times = [index / generator.frame_rate for index in range(last + 1)]
        self._frames: Iterator[np.ndarray] = iter(frames(times, generator.size))
        self._kept: OrderedDict[int, Tensor] = OrderedDict()
        self._most = 2 * generator.frames + REMEMBERED
        self._next = 0

    def __getitem__(self, index: int) -> Tensor:
        while self._next <= index:
            image = torch.from_numpy(np.ascontiguousarray(next(self._frames))).permute(2, 0, 1)
            self._kept[self._next] = image
            self._next += 1
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return self._kept[index]
