"""Visual features of the windows of a stream: each frame is read once, each group of frames is encoded once."""

# T frames of a window, H and W rows and columns of a frame

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from avssl.data.loader import first_frame
from avssl.errors import InputError
from avssl_downstream.spatialize.generator import Generator, resize_frames

FrameReader = Callable[[Sequence[float], tuple[int, int]], Iterable[np.ndarray]]
"""Timestamps in seconds, ascending, and rows and columns, to the frame shown at each: uint8 `(H, W, 3)` RGB."""
FrameTransform = Callable[[Tensor], Tensor]
"""Changes the frames of windows, uint8 `(B, T, 3, H, W)`, such as to black or mirrored ones."""
EPSILON = 1e-6
"""Frames, by which timestamps may be rounded."""


class FrameSource(ABC):
    """Frames on the time grid of a generator: frame `i` is the one shown at `i / frame_rate` seconds.

    Args:
        generator: gives frame rate and size.
    """

    def __init__(self, generator: Generator) -> None:
        self.frame_rate, self.size = generator.frame_rate, generator.size

    @abstractmethod
    def available(self, index: int) -> bool:
        """Whether frame `index` can be read now."""

    @abstractmethod
    def read(self, index: int) -> Tensor:
        """Frame `index`, uint8 `(3, H, W)`; the first one before the video begins, the last one after it ends."""

    @abstractmethod
    def discard(self, index: int) -> None:
        """Free the frames before `index`, which are not read again."""

    @abstractmethod
    def close(self) -> None:
        """Declare that no more frames will come."""


class RecordedFrames(FrameSource):
    """Frames of a file, decoded in order, when they are needed.

    Args:
        generator: gives frame rate and size.
        reader: of the file.
        seconds: duration of the video.
    """

    def __init__(self, generator: Generator, reader: FrameReader, seconds: float) -> None:
        super().__init__(generator)
        self.last = max(0, int(seconds * self.frame_rate - EPSILON))
        times = [index / self.frame_rate for index in range(self.last + 1)]
        self._decoded: Iterator[np.ndarray] = iter(reader(times, self.size))
        self._frames: dict[int, Tensor] = {}
        self._next = 0

    def available(self, index: int) -> bool:
        """Always true."""
        return True

    def read(self, index: int) -> Tensor:
        """See `FrameSource.read`."""
        index = min(max(index, 0), self.last)
        while self._next <= index:
            frame = np.ascontiguousarray(next(self._decoded))
            self._frames[self._next] = torch.from_numpy(frame).permute(2, 0, 1)
            self._next += 1
        return self._frames[index]

    def discard(self, index: int) -> None:
        """See `FrameSource.discard`."""
        self._frames = {each: frame for each, frame in self._frames.items() if each >= min(index, self.last)}

    def close(self) -> None:
        """Without effect."""


class LiveFrames(FrameSource):
    """Frames of a camera, pushed as they come, at any frame rate.

    Args:
        generator: gives frame rate and size.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator)
        self._indices: list[int] = []
        self._frames: list[Tensor] = []
        self._seconds, self._closed = 0.0, False

    def push(self, frame: Tensor | np.ndarray, seconds: float) -> None:
        """Take the next frame.

        Args:
            frame: uint8 `(height, width, 3)` RGB, of any size.
            seconds: timestamp from which it is shown; 0 is the first sample of the audio.

        Raises:
            InputError: another shape or type, or a timestamp before that of the last frame.
        """
        image = torch.as_tensor(frame)
        if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise InputError(f"expected a uint8 frame (height, width, 3), got {image.dtype} {tuple(image.shape)}")
        if not self._seconds <= seconds < math.inf:
            raise InputError(f"expected timestamps from 0 s in ascending order, got {seconds} after {self._seconds}")
        self._seconds, index = seconds, math.ceil(seconds * self.frame_rate - EPSILON)
        if self._indices and self._indices[-1] == index:  # never shown: a newer one has come before its time
            self._indices.pop()
            self._frames.pop()
        self._indices.append(index)
        self._frames.append(resize_frames(image.permute(2, 0, 1)[None], self.size)[0].clone())

    def available(self, index: int) -> bool:
        """Whether a frame of the time of `index` or later has been pushed, or the source is closed."""
        return self._closed or (bool(self._frames) and index <= self._seconds * self.frame_rate + EPSILON)

    def read(self, index: int) -> Tensor:
        """See `FrameSource.read`.

        Raises:
            InputError: no frame was pushed.
        """
        if not self._frames:
            raise InputError("expected at least one frame before the end of the audio, got none")
        return self._frames[max(0, bisect_right(self._indices, index) - 1)]

    def discard(self, index: int) -> None:
        """See `FrameSource.discard`; the frame that is shown at `index` stays."""
        first = max(0, bisect_right(self._indices, index) - 1)
        del self._indices[:first], self._frames[:first]

    def close(self) -> None:
        """See `FrameSource.close`; the last frame stays."""
        self._closed = True


class FrameFeatures:
    """Visual features of windows by the time of their middle, which ascends from call to call.

    Neighbouring windows whose middles fall on the same frames share their features.

    Args:
        generator: its `encode_video` is applied.
        frames: of the same stream.
        transform: applied to frames before.
        keep: keep all features, so that the same times may be asked for again.
    """

    def __init__(
        self, generator: Generator, frames: FrameSource, transform: FrameTransform | None = None, keep: bool = False
    ) -> None:
        self.generator, self.frames, self.transform, self.keep = generator, frames, transform, keep
        self._features: dict[int, Tensor] = {}

    def ready(self, seconds: float) -> bool:
        """Whether all frames of the window about a time can be read now."""
        return self.frames.available(self._first(seconds) + self.generator.frames - 1)

    def at(self, seconds: Sequence[float]) -> Tensor:
        """Features of the windows about some times, ascending: `(len(seconds), ...)`, see `Generator.generate`."""
        firsts = [self._first(each) for each in seconds]
        if new := [each for each in dict.fromkeys(firsts) if each not in self._features]:
            self._features.update(zip(new, self._encoded(new), strict=True))
        if not self.keep:
            self._features = {first: each for first, each in self._features.items() if first >= firsts[0]}
        found = torch.stack([self._features[each] for each in firsts])
        self.frames.discard(firsts[-1])
        return found

    def window_frames(self, seconds: float) -> Tensor:
        """Frames of the window about a time, uint8 `(T, 3, H, W)`."""
        return self._group(self._first(seconds))

    def _first(self, seconds: float) -> int:
        return first_frame(seconds, self.generator.frames, self.generator.frame_rate)

    def _group(self, first: int) -> Tensor:
        return torch.stack([self.frames.read(first + index) for index in range(self.generator.frames)])

    def _encoded(self, firsts: Sequence[int]) -> Tensor:
        frames = torch.stack([self._group(each) for each in firsts])
        frames = frames if self.transform is None else self.transform(frames)
        return self.generator.encode_video(frames.to(next(self.generator.parameters()).device))


class FrameCache:
    """A frame reader that decodes each frame of a clip once, for several readings one after the other.

    Args:
        reader: of the clip; always asked for the same timestamps.
    """

    def __init__(self, reader: FrameReader) -> None:
        self._reader, self._cached = reader, list[np.ndarray]()
        self._decoding: Iterator[np.ndarray] | None = None

    def __call__(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """See `FrameReader`."""
        self._decoding = self._decoding or iter(self._reader(times, size))
        for index in range(len(times)):
            if index == len(self._cached):
                self._cached.append(next(self._decoding))
            yield self._cached[index]
