"""Frames without their background: objects that a segmenter finds, on black, as `mono_to_3d` is trained on."""

# H and W rows and columns of a frame

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np

from avssl.detection.backends.segmenter import Segmenter, load_segmenter
from avssl.errors import InputError
from avssl_downstream.spatialize.frame_features import FrameReader
from avssl_downstream.spatialize.generator import Generator

LARGEST = 640
"""Longer side of the frames that are segmented, pixels, unless the generator's are larger."""
BATCH = 8
"""Frames that are segmented at once."""


class Foreground:
    """Frame readers whose frames hold the objects of a segmenter, and black around them.

    Args:
        segmenter: finds the objects.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def reader(self, read: FrameReader, size: tuple[int, int]) -> FrameReader:
        """A reader of the same frames without background.

        Args:
            read: of a video.
            size: rows and columns of the video.
        """

        def foreground(times: Sequence[float], wanted: tuple[int, int]) -> Iterator[np.ndarray]:
            frames = iter(read(times, segmented_size(size, wanted)))
            while batch := list(islice(frames, BATCH)):
                yield from (_scaled(each, wanted) for each in self.cut(np.stack(batch)))

        return foreground

    def cut(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 `(frames, H, W, 3)`, black where no object is."""
        found = self.segmenter.segment(frames)
        masks = np.stack(
            [each.masks.any(0) if len(each.masks) else np.zeros(frames.shape[1:3], bool) for each in found]
        )
        return np.asarray(frames * masks[..., None], np.uint8)


def load_foreground(segmenter: str, generator: Generator) -> Foreground | None:
    """Remover of backgrounds for the frames of a generator; None if no segmenter is named.

    Args:
        segmenter: see `load_segmenter`.
        generator: that the frames are for.

    Raises:
        InputError: see `load_segmenter`; or a generator that takes panoramas, or no frames.
    """
    if not segmenter:
        return None
    if generator.panoramic or not generator.uses_frames:
        takes = "360-degree frames" if generator.panoramic else "no frames"
        raise InputError(
            f"expected a generator of ordinary frames for segmenter={segmenter}, got one of {takes}; leave it out"
        )
    return Foreground(load_segmenter(segmenter))


def refuse_segmenter(segmenter: str) -> None:
    """See that no segmenter is named for a live stream, whose frames it would hold up.

    Raises:
        InputError: one is named.
    """
    if segmenter:
        raise InputError(f"expected no segmenter for a live stream, got segmenter={segmenter}; leave it out")


def without_background(foreground: Foreground | None, read: FrameReader, size: tuple[int, int]) -> FrameReader:
    """The reader without background, or the same one where none is removed; see `Foreground.reader`."""
    return read if foreground is None else foreground.reader(read, size)


def segmented_size(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns at which a video is segmented: its own, at most `LARGEST`, and at least those that are wanted.

    Args:
        size: of the video.
        wanted: of the generator.
    """
    scale = min(1.0, LARGEST / max(size))
    rows, columns = (max(round(scale * own), least) for own, least in zip(size, wanted, strict=True))
    return rows, columns


def _scaled(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame at another size, averaged."""
    if frame.shape[:2] == size:
        return frame
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
