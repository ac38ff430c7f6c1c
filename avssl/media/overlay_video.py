"""Writer of 360-degree video with something drawn over each frame, and a stereo preview of its audio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import scratch_folder
from avssl.io.folder_lock import file_lock
from avssl.io.progress import track
from avssl.media import write_spatial_mp4, write_video
from avssl.media.mp4.spatial_mp4 import AAC_RATES
from avssl.media.projection_check import check_equirect
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.media.video_writer import SLOWEST, require_writable

Image = NDArray[np.uint8]
VIDEO_SUFFIXES = (".mp4", ".mov")
BLOCK = 5.0
"""Seconds of audio in memory at once."""
FASTEST = 240.0
"""Frames per second."""
LABEL_ROWS = 448
"""Height of frames whose labels have OpenCV's basic size, about 22 pixels."""
LOWEST, HIGHEST = 32, 5760
"""Pixels, up to those of 12K frames."""


@dataclass(frozen=True)
class OverlayFormat:
    """Format of the written video."""

    frame_rate: float = 10.0
    """Hz."""
    height: int = 448
    """Pixels; the width is twice the height."""

    def __post_init__(self) -> None:
        """Validate field values."""
        if not SLOWEST <= self.frame_rate <= FASTEST:
            expected = f"frame_rate >= {SLOWEST} and <= {FASTEST:g} frames per second"
            raise InputError(f"expected {expected}, got {self.frame_rate}")
        if not LOWEST <= self.height <= HIGHEST:
            raise InputError(f"expected height >= {LOWEST} and <= {HIGHEST} pixels, got {self.height}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, even numbers of pixels."""
        return self.height // 2 * 2, self.height // 2 * 4


def write_overlay(
    path: Path,
    video: VideoReader,
    audio: AudioReader,
    form: OverlayFormat,
    *,
    draw: Callable[[Iterator[Image]], Iterator[Image]],
    to_stereo: Callable[[Tensor], Tensor],
    title: str,
    progress: bool = True,
    others: Sequence[Path] = (),
    panoramic: bool = True,
) -> None:
    """Write a video with an overlay; memory does not grow with its length.

    Args:
        path: the mp4 or mov to write.
        video: source of the frames.
        audio: source of the audio, from the same start.
        form: format of the video.
        draw: maps the frames `(height, width, 3)`, RGB, to those that are written; where it ends, the video ends.
        to_stereo: native channels `(channels, samples)` to the stereo preview `(2, samples)`.
        title: of the progress bar.
        progress: show a progress bar.
        others: further files that are read.
        panoramic: the frames that are written are equirectangular.

    Raises:
        InputError: a target that is not .mp4 or .mov, or is one of the files that are read.
        OSError: the file cannot be written.
    """
    target = _target(path, video.path, audio.path, *others)
    times = list(np.arange(max(1, int(video.length() * form.frame_rate))) / form.frame_rate)
    shown = track(times, title, "frames", shown=progress, transient=True)
    frames = (frame for _, frame in zip(shown, video.frames(times, form.size), strict=False))
    with file_lock(target), scratch_folder(target) as folder:
        silent = folder / "drawn.mp4"
        write_video(silent, draw(frames), form.frame_rate, gop=round(2 * form.frame_rate) or 1)
        preview = _preview(audio, to_stereo, VideoReader(silent).length())
        write_spatial_mp4(target, silent, preview, audio.sample_rate, panoramic=panoramic)


def open_panoramas(path: Path, declared: bool) -> VideoReader:
    """Open a video of equirectangular frames.

    Args:
        path: any file that FFmpeg reads.
        declared: treat the frames as equirectangular whatever header or aspect ratio.

    Raises:
        InputError: no such video.
    """
    frames = VideoReader(path)
    try:
        check_equirect(frames, declared=declared, vouched=False, declare="--panorama")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return frames


def open_audio(path: Path) -> AudioReader:
    """Open audio that an mp4 can hold.

    Raises:
        InputError: no audio, or of another sample rate.
    """
    audio = AudioReader(path)
    if audio.sample_rate not in AAC_RATES:
        known = ", ".join(map(str, AAC_RATES))
        raise InputError(f"{path}: expected a sample rate of AAC ({known} Hz), got {audio.sample_rate} Hz; resample it")
    return audio


def blend(
    frame: Image, strength: NDArray[np.float32], opacity: float, opaque_at: float = 1.0, seam: bool = True
) -> Image:
    """Draw a map over a frame in the colours of `colours`.

    Args:
        frame: `(height, width, 3)`, RGB.
        strength: `(rows, columns)` in 0..1; interpolated.
        opacity: the highest; 0 is transparent. It rises with the strength.
        opaque_at: strength from which on it is the highest.
        seam: whether frames are equirectangular: the map is interpolated over the seam too.
    """
    height, width = frame.shape[:2]
    wide = cv2.resize(np.hstack([strength] * 3), (3 * width, height), interpolation=cv2.INTER_CUBIC) if seam else None
    whole = (
        cv2.resize(strength, (width, height), interpolation=cv2.INTER_CUBIC)
        if wide is None
        else wide[:, width : 2 * width]
    )
    smooth = np.clip(whole, 0, 1)
    share = opacity * np.minimum(smooth / opaque_at, 1)[..., None]
    return np.asarray(frame * (1 - share) + colours(smooth) * share).round().astype(np.uint8)


def side_by_side(frames: Mapping[str, Image]) -> Image:
    """Frames of the same size beside each other, each with its label at the top left.

    Args:
        frames: label -> `(height, width, 3)`, RGB.
    """
    return np.hstack([_labelled(frame, label) for label, frame in frames.items()])


def _labelled(frame: Image, label: str) -> Image:
    height, found = frame.shape[0], frame.copy()
    scale, thickness = height / LABEL_ROWS, max(1, round(height / LABEL_ROWS * 2))
    (width, rows), below = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    margin = rows // 2
    found[: rows + below + 2 * margin, : width + 2 * margin] = 0
    place = margin, rows + margin
    cv2.putText(found, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return found


def colours(strength: NDArray[np.floating | np.integer]) -> Image:
    """Colours `(rows, columns, 3)`, RGB, of strengths in 0..1: Turbo, blue to red."""
    return np.asarray(cv2.applyColorMap((255 * strength).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1])


def _target(path: Path, *read: Path) -> Path:
    """Validate the output path before any work."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{path}: expected the name of a .mp4 or .mov file to write")
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, this is a folder")
    if path.exists() and any(path.samefile(each) for each in read):
        raise InputError(f"{path}: is a file to be read; write another one")
    return require_writable(path)


def _preview(audio: AudioReader, to_stereo: Callable[[Tensor], Tensor], seconds: float) -> Iterator[Tensor]:
    left = round(seconds * audio.sample_rate)
    for block in audio.play(BLOCK):
        yield to_stereo(block[:, :left])
        left -= min(left, block.shape[1])
        if not left:
            return
