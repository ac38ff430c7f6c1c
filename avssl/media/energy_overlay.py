"""Overlay of directional audio energy on 360-degree video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import scratch_folder
from avssl.io.folder_lock import file_lock
from avssl.io.progress import track
from avssl.media import write_spatial_mp4, write_video
from avssl.media.channel_layouts import ChannelLayout, check_name, find_layout
from avssl.media.mp4.spatial_mp4 import AAC_RATES
from avssl.media.projection_check import check_equirect
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.media.video_writer import SLOWEST, require_writable
from avssl.spatial.energy_map import energy_map
from avssl.spatial.loudspeakers import downmix_stereo

VIDEO_SUFFIXES = (".mp4", ".mov")
BLOCK = 5.0
"""Seconds of audio in memory at once."""
FASTEST = 240.0
"""Frames per second."""
HIGHEST = 5760
"""Pixels, of 12K frames."""
ROWS = 32
"""Height of the energy map; sufficient for first order."""
SMOOTHING = 0.5
"""Exponential smoothing factor per frame: at 10 frames/s energy halves in 0.1 s."""
MAX_OPACITY = 0.6
"""Opacity of the loudest direction."""
RANGE_DB = 30.0
"""Level below the loudest frame so far at which the overlay is transparent."""


def write_energy_video(
    path: Path | str,
    images: Path | str,
    field: Path | str,
    *,
    layout: str = "auto",
    frame_rate: float = 10.0,
    height: int = 448,
    declared: bool = False,
    progress: bool = True,
) -> None:
    """Write a video with the directional energy of a sound field drawn over each frame.

    Video and audio start together and the shorter one ends it. Memory does not grow with the length.

    Args:
        path: the mp4 to write; its audio is a stereo downmix of the field.
        images: an equirectangular video.
        field: a file with first-order ambisonics, possibly the same file.
        layout: channel layout of the field: auto, or one of `avssl.media.channel_layouts.NAMES`.
        frame_rate: output frames per second.
        height: output height in pixels; the width is twice that.
        declared: treat the frames as equirectangular whatever header or aspect ratio.
        progress: show a progress bar.

    Raises:
        InputError: frames not equirectangular, audio not first-order ambisonics, invalid numbers, or a target that is
            not .mp4 or .mov or is one of the input files.
        OSError: the file cannot be written.
    """
    _check(frame_rate, height)
    video, (audio, known) = _open_video(Path(images), declared), _open_field(Path(field), layout)
    target, size = _target(Path(path), video.path, audio.path), (height // 2 * 2, height // 2 * 4)
    times = list(np.arange(max(1, int(video.length() * frame_rate))) / frame_rate)
    shown = track(times, "draw energy", "frames", shown=progress, transient=True)
    frames = video.frames(times, size)
    maps = _maps(audio, known.to_ambix, frame_rate)
    drawn = (_blend(frame, *level) for _, frame, level in zip(shown, frames, maps, strict=False))
    with file_lock(target), scratch_folder(target) as folder:
        silent = folder / "drawn.mp4"
        write_video(silent, drawn, frame_rate, gop=round(2 * frame_rate) or 1)
        preview = _stereo_preview(audio, known, VideoReader(silent).length())
        write_spatial_mp4(target, silent, preview, audio.sample_rate, panoramic=True)


def _check(frame_rate: float, height: int) -> None:
    if not SLOWEST <= frame_rate <= FASTEST:
        raise InputError(f"expected frame_rate >= {SLOWEST} and <= {FASTEST:g} frames per second, got {frame_rate}")
    if not ROWS <= height <= HIGHEST:
        raise InputError(f"expected height >= {ROWS} and <= {HIGHEST} pixels, got {height}")


def _target(path: Path, *read: Path) -> Path:
    """Validate the output path before any work."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{path}: expected the name of a .mp4 or .mov file to write")
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, this is a folder")
    if path.exists() and any(path.samefile(each) for each in read):
        raise InputError(f"{path}: is a file to be read; write another one")
    return require_writable(path)


def _open_video(path: Path, declared: bool) -> VideoReader:
    frames = VideoReader(path)
    try:
        check_equirect(frames, declared=declared, vouched=False, declare="--panorama")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return frames


def _open_field(path: Path, name: str) -> tuple[AudioReader, ChannelLayout]:
    audio = AudioReader(path)
    try:
        check_name(name)
        layout = find_layout(name, audio.channels, audio.codec, audio.mark)
        if audio.sample_rate not in AAC_RATES:
            known = ", ".join(map(str, AAC_RATES))
            raise InputError(f"expected a sample rate of AAC ({known} Hz), got {audio.sample_rate} Hz; resample it")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return audio, layout


def _stereo_preview(audio: AudioReader, layout: ChannelLayout, seconds: float) -> Iterator[Tensor]:
    left = round(seconds * audio.sample_rate)
    for block in audio.play(BLOCK):
        yield downmix_stereo(layout.to_ambix(block[:, :left]))
        left -= min(left, block.shape[1])
        if not left:
            return


def _maps(
    audio: AudioReader, prepared: Callable[[Tensor], Tensor], frame_rate: float
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Per frame: energy map `(ROWS, 2 ROWS)` scaled to 0..1, and overall level 0..1."""
    power: Tensor | None = None
    loudest = 1e-12
    step = audio.sample_rate / frame_rate
    for segment in _frame_segments(map(prepared, audio.play(BLOCK)), step):
        now = energy_map(segment, ROWS, 2 * ROWS).square()
        power = now if power is None else SMOOTHING * power + (1 - SMOOTHING) * now
        peak = float(power.max())
        loudest = max(loudest, peak)
        presence = min(1.0, max(0.0, 1 + 10 * np.log10(max(peak, 1e-12) / loudest) / RANGE_DB))
        low = power.min()
        # First-order beams are wide: subtract the minimum.
        yield ((power - low) / (power.max() - low).clamp(min=1e-12)).numpy().astype(np.float32), presence


def _frame_segments(blocks: Iterable[Tensor], step: float) -> Iterator[Tensor]:
    """Split audio blocks into one segment per frame of `step` samples."""
    held: Tensor | None = None
    index, dropped = 0, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], 1)
        while held.shape[1] >= (length := round((index + 1) * step) - dropped):
            yield held[:, :length]
            held, dropped, index = held[:, length:], dropped + length, index + 1


def _blend(frame: NDArray[np.uint8], strength: NDArray[np.float32], presence: float) -> NDArray[np.uint8]:
    # Wrap horizontally for interpolation.
    height, width = frame.shape[:2]
    wide = cv2.resize(np.hstack([strength] * 3), (3 * width, height), interpolation=cv2.INTER_CUBIC)
    smooth = np.clip(wide[:, width : 2 * width], 0, 1)
    colours = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    share = (MAX_OPACITY * presence * smooth)[..., None]
    return np.asarray(frame * (1 - share) + colours * share).round().astype(np.uint8)
