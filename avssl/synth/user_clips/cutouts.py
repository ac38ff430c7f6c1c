"""Cut-outs of sources from clips: square RGBA images and their audio, computed once and cached."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.detection.backends.segmenter import Segmenter, chosen, load_segmenter
from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.io.process_pool import ordered_outcomes
from avssl.io.progress import ProgressBar
from avssl.media import read_resampled
from avssl.media.video_reader import VideoReader
from avssl.synth.intact_files import is_intact
from avssl.synth.sprites.drawing import SIDE
from avssl.synth.user_clips.annotations import Annotation

LARGEST = 960
"""Longer side of the decoded frames, pixels."""
BATCH = 8
"""Batch size of the segmenter, frames."""
FASTEST = 60.0
"""Rate of the cut-outs, Hz."""


class CutOut(NamedTuple):
    """A source without its surroundings."""

    frames: NDArray[np.uint8]
    """`(instants, side, side, 4)`, RGBA, colour multiplied by alpha."""
    sides: NDArray[np.float32]
    """`(instants,)`: of the squares, in heights of the picture they come from."""
    audio: NDArray[np.float32]
    """`(samples,)`: all channels mixed."""
    rate: float
    """Instants a second."""
    seconds: float


@dataclass(frozen=True)
class Cutting:
    """How sources are cut out."""

    segmenter: str = ""
    """See `load_segmenter`; empty: the boxes are the cut-outs."""
    rate: float = 4.0
    """Frame rate, Hz."""

    def check(self) -> None:
        """See that the segmenter is there and the rate has a meaning, before anything is read.

        Raises:
            InputError: it is not.
        """
        if not 0 < self.rate <= FASTEST:
            raise InputError(f"cut_rate is above 0 and at most {FASTEST:g} a second, not {self.rate}")
        if self.segmenter:
            load_segmenter(self.segmenter)

    def settings(self) -> dict[str, object]:
        """Settings that the cut-outs depend on."""
        name = f"sha256:{load_segmenter(self.segmenter).sha256[:16]}" if self.segmenter else "boxes"
        return {"cut_rate": self.rate, "cut_by": name}


def cut_all(
    segments: Sequence[Annotation], paths: Sequence[Path], cutting: Cutting, sample_rate: int, progress: bool
) -> None:
    """Write the cut-out of each segment where it is missing.

    Args:
        segments: what is cut out.
        paths: where each goes; their folder is made.
        cutting: how.
        sample_rate: Hz of the sound.
        progress: whether a bar shows how far it is.

    Raises:
        InputError: a clip cannot be read, or the segmenter finds nothing in some.
        OSError: a cut-out cannot be written.
    """
    waiting = [(segment, path) for segment, path in zip(segments, paths, strict=True) if not is_intact(path)]
    if not waiting:
        return
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    segmenter = load_segmenter(cutting.segmenter) if cutting.segmenter else None
    missed: list[Annotation] = []
    with ProgressBar("cut out", len(waiting), "sources", shown=progress) as bar:
        for (segment, _), found in _cuts(waiting, cutting.rate, sample_rate, segmenter):
            missed += [] if found else [segment]
            bar.advance()
    if missed:
        named = ", ".join(f"{each.video.name} {each.start:.1f}-{each.end:.1f} s" for each in missed[:5])
        raise InputError(
            f"{cutting.segmenter}: finds nothing in {len(missed)} of {len(segments)} segments ({named}); "
            "leave them out, or cut by their boxes"
        )


@lru_cache(maxsize=8)
def read_cut_out(path: Path) -> CutOut:
    """A cut-out that `cut_all` wrote; read-only.

    Raises:
        InputError: it is spoiled.
        OSError: it is not there.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = CutOut(*(stored[name] for name in CutOut._fields))
    except (ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: expected a cut-out, cannot be read; remove it to have it cut out again") from error
    for each in found[:3]:
        each.setflags(write=False)
    return found._replace(rate=float(found.rate), seconds=float(found.seconds))


def _cuts(
    waiting: Sequence[tuple[Annotation, Path]], rate: float, sample_rate: int, segmenter: Segmenter | None
) -> Iterator[tuple[tuple[Annotation, Path], bool]]:
    """Write cut-outs, and yield whether each was found; in a process that a clip may kill, where there is no segmenter.

    Raises:
        InputError: a clip cannot be read, or killed the process.
    """
    if segmenter is not None:
        yield from ((each, _cut(*each, rate, sample_rate, segmenter)) for each in waiting)
        return
    with closing(ordered_outcomes(lambda each: _cut(*each, rate, sample_rate, None), waiting, 1)) as results:
        for each, found in results:
            if isinstance(found, BaseException):
                raise found
            yield each, found


def _cut(segment: Annotation, path: Path, rate: float, sample_rate: int, segmenter: Segmenter | None) -> bool:
    """Write a cut-out; False where the segmenter finds nothing."""
    seconds = segment.end - segment.start
    times = [segment.start + number / rate for number in range(max(1, math.ceil(seconds * rate - 1e-6)))]
    cuts = list(_filled(_shapes(segment, times, segmenter)))
    if not cuts:
        return False
    frames, sides = zip(*cuts, strict=True)
    cut = CutOut(np.stack(frames), np.array(sides, np.float32), _audio(segment, sample_rate), rate, seconds)
    with replacing(path) as part:
        np.savez_compressed(part, **cut._asdict())
    return True


def _audio(segment: Annotation, sample_rate: int) -> NDArray[np.float32]:
    audio = read_resampled(segment.audio, segment.start, segment.end - segment.start, sample_rate)
    return np.asarray(audio.mean(0).numpy(), np.float32)


Shape = tuple[NDArray[np.uint8], float]
"""Square image and its side."""


def _filled(shapes: Iterator[Shape | None]) -> Iterator[Shape]:
    """The same where nothing was found: what was found before, or at first, after."""
    held: Shape | None = None
    early = 0
    for shape in shapes:
        if shape is None and held is None:
            early += 1
            continue
        held = shape or held
        assert held is not None
        yield from [held] * (1 + early)
        early = 0


def _shapes(segment: Annotation, times: Sequence[float], segmenter: Segmenter | None) -> Iterator[Shape | None]:
    """The source at each instant; None where the segmenter does not find it."""
    video = VideoReader(segment.video)
    size = _size(video)
    frames = video.frames(times, size)
    if segmenter is None:
        for time, frame in zip(times, frames, strict=True):
            yield square(frame, np.full(frame.shape[:2], 255, np.uint8), segment.box(time))
        return
    for begin in range(0, len(times), BATCH):
        some = times[begin : begin + BATCH]
        images = np.stack([next(frames) for _ in some])
        for time, image, found in zip(some, images, segmenter.segment(images), strict=True):
            number = chosen(found, segment.box(time) * _corners(size) if segment.times else None, segment.instance)
            if number is None:
                yield None
            else:
                mask = found.masks[number].astype(np.uint8) * 255
                yield square(image, mask, _bounds(mask) / _corners(size))


def square(frame: NDArray[np.uint8], mask: NDArray[np.uint8], box: NDArray[np.float64]) -> Shape:
    """Masked box of a frame, centred in a square.

    Args:
        frame: uint8 `(height, width, 3)`.
        mask: uint8 `(height, width)`, 255 where the source is.
        box: left, top, right, bottom in 0..1 of the frame.

    Returns:
        uint8 `(SIDE, SIDE, 4)`, colour multiplied by alpha; and the side of the square in heights of the frame.
    """
    height, width = mask.shape
    left, top = np.floor(box[:2] * (width, height) + 1e-6).astype(int)
    right, bottom = np.maximum(np.ceil(box[2:] * (width, height) - 1e-6).astype(int), (left + 1, top + 1))
    solid = mask[top:bottom, left:right, None].astype(np.float32) / 255
    cut = np.concatenate([frame[top:bottom, left:right] * solid, 255 * solid], axis=-1)
    side = max(bottom - top, right - left)
    seen = [max(1, round(SIDE * length / side)) for length in (right - left, bottom - top)]
    scaled = cv2.resize(cut, seen, interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR)
    image = np.zeros((SIDE, SIDE, 4), np.uint8)
    across, down = (SIDE - seen[0]) // 2, (SIDE - seen[1]) // 2
    image[down : down + seen[1], across : across + seen[0]] = np.clip(scaled + 0.5, 0, 255)
    return image, side / height


def _size(video: VideoReader) -> tuple[int, int]:
    """Height and width of the decoded frames of a video."""
    scale = min(1.0, LARGEST / max(video.size))
    height, width = (max(2, round(side * scale)) for side in video.size)
    return height, width


def _corners(size: tuple[int, int]) -> NDArray[np.float64]:
    return np.array([size[1], size[0], size[1], size[0]], np.float64)


def _bounds(mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Left, top, right, bottom of what a mask holds, pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
