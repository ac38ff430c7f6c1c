"""Read windows of audio and video files for frozen encoders, deterministically."""

# N windows, C channels

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.data.clip_options import Reading
from avssl.errors import InputError
from avssl.media import read_resampled
from avssl.media.channel_layouts import ChannelLayout, infer_layout
from avssl.media.projection_check import check_equirect
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl.regular_files import check_regular
from avssl.spatial.ambisonics import from_stereo
from avssl.spatial.viewport import crop

TOWERS = ("audio", "video")
MARGIN = 0.25
"""Seconds by which a window may begin past the end of the audio; it is silent then."""
SLACK = 1e-6
"""Rounding tolerance in seconds at the end of the video."""


@dataclass(frozen=True)
class Source:
    """Windows of one file."""

    key: str
    """Name of the file."""
    path: Path
    starts: tuple[float, ...]
    """Seconds from the file's beginning to each window's."""


def read_window_audio(path: Path, start: float, reading: Reading, sample_rate: int) -> Tensor:
    """Read the audio of one window, padded with silence past the end of the file.

    Args:
        path: audio file, or video file with audio.
        start: seconds from the file's beginning.
        reading: length, channels.
        sample_rate: Hz of the returned audio; the file is resampled.

    Returns:
        float32 `(channels, samples)`, full scale 1.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no audio, a broken file, or a window far past its end.
    """
    return read_audio_windows(path, [start], reading, sample_rate)[0]


def read_window_frames(path: Path, start: float, reading: Reading) -> Tensor:
    """Read the frames of one window; past the end they repeat in a cycle (Morgado 2020, AVSA's code).

    Args:
        path: video file.
        start: seconds from the file's beginning.
        reading: number, rate and size of frames.

    Returns:
        uint8 `(frames, 3, height, width)`, RGB.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no video, a broken file, or a window past its end.
    """
    return next(iterate_window_frames(path, [start], reading))


def read_audio_windows(path: Path, starts: Sequence[float], reading: Reading, sample_rate: int) -> Tensor:
    """Read the audio of nearby windows in one pass; see `read_window_audio`.

    Args:
        path: audio file, or video file with audio.
        starts: ascending; audio between them is held in memory.
        reading: length, channels.
        sample_rate: Hz of the returned audio.

    Returns:
        float32 `(N, C, samples)`.
    """
    first = max(0, math.floor(starts[0] - MARGIN))
    audio = _segment(path, first, starts[-1] + reading.seconds + MARGIN - first, reading, sample_rate)
    samples = round(reading.seconds * sample_rate)
    begins = [round(start * sample_rate) - first * sample_rate for start in starts]
    audio = torch.nn.functional.pad(audio, (0, max(0, begins[-1] + samples - audio.shape[1])))
    return torch.stack([audio[:, begin : begin + samples] for begin in begins])


def iterate_window_frames(path: Path, starts: Sequence[float], reading: Reading) -> Iterator[Tensor]:
    """Read the frames of nearby windows in one pass; see `read_window_frames`.

    Args:
        path: video file.
        starts: ascending.
        reading: number, rate and size of frames.

    Yields:
        uint8 `(frames, 3, height, width)`.
    """
    frames, end = _frames(path, *_state(path, "a video"))
    if reading.view is not None:
        _check_sphere(path, frames)
    windows = [_instants(path, start, reading, end) for start in starts]
    timestamps = sorted({each for window in windows for each in window})
    coming = zip(timestamps, frames.frames(timestamps, _scaled(path, frames, reading)), strict=True)
    held: dict[float, Tensor] = {}
    for window in windows:
        held = {timestamp: frame for timestamp, frame in held.items() if timestamp >= window[0]}
        while window[-1] not in held or max(window) not in held:
            timestamp, frame = next(coming)
            held[timestamp] = _cut(frame, reading)
        yield torch.stack([held[timestamp] for timestamp in window])


def _segment(path: Path, start: float, seconds: float, reading: Reading, sample_rate: int) -> Tensor:
    file = _audio(path, *_state(path, "audio"))
    layout = _field_layout(path, file, reading)
    count = file.channels if layout else min(file.channels, reading.channels or file.channels)
    audio = read_resampled(path, start, seconds, sample_rate, range(count), file.stream)
    if not bool(audio.isfinite().all()):
        raise InputError(f"{path}: audio contains NaN or Inf after {start:.2f} s")
    if layout is not None:
        return layout.to_ambix(audio)[: reading.channels or None]
    return from_stereo(audio) if reading.upmix and count < 4 else audio


def _field_layout(path: Path, file: AudioReader, reading: Reading) -> ChannelLayout | None:
    """Layout of ambisonics in another order or normalization than ambiX; None for other audio."""
    youtube = file.mark is None and file.channels == 6 and file.codec == "aac" and reading.channels == 4
    try:
        return infer_layout(file.channels, file.codec, file.mark) if youtube or file.mark is not None else None
    except InputError as error:
        raise InputError(f"{path}: {str(error).partition(';')[0]}") from error


def _check_sphere(path: Path, frames: VideoReader) -> None:
    """Refuse a view of frames that are no whole sphere; asking for one declares 16:9 frames as a sphere."""
    try:
        check_equirect(frames, declared=False, vouched=True)
    except InputError as error:
        raise InputError(f"{path}: {error}; leave out the view") from error


def _instants(path: Path, start: float, reading: Reading, end: float) -> list[float]:
    if start >= end:
        raise InputError(f"{path}: expected a window before the end of the video at {end:.3f} s, got {start:.3f} s")
    timestamps = [start + frame / reading.frame_rate for frame in range(reading.frames)]
    there = max(1, sum(timestamp < end - SLACK for timestamp in timestamps))
    return [timestamps[frame % there] for frame in range(reading.frames)]


def _scaled(path: Path, frames: VideoReader, reading: Reading) -> tuple[int, int]:
    """Height and width to decode to."""
    height, width = frames.size
    if reading.view is not None:
        # As fine as the middle of the view, so that it does not alias.
        rows = math.ceil(math.pi * reading.size / (2 * math.tan(reading.view[2] / 2)))
        return (rows, round(width * rows / height)) if rows < height else (height, width)
    if reading.resize:
        share = reading.resize / min(height, width)
        height, width = round(height * share), round(width * share)
    if reading.size > min(height, width):
        raise InputError(f"{path}: a square of {reading.size} pixels cannot be cut from {width}x{height}; set resize")
    return height, width


def _cut(image: np.ndarray, reading: Reading) -> Tensor:
    """Viewport or centre crop `(3, height, width)` of an image `(height, width, 3)`."""
    frame = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    if reading.view is not None:
        azimuth, elevation, fov = reading.view
        return crop(frame[None].contiguous(), torch.tensor([[azimuth, elevation]]), fov, reading.size)[0, 0]
    if reading.size:
        top, left = (round((length - reading.size) / 2) for length in frame.shape[1:])
        frame = frame[:, top : top + reading.size, left : left + reading.size]
    return frame.contiguous()


def _state(path: Path, expected: str) -> tuple[int, int]:
    status = check_regular(path, expected)
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4096)
def _audio(path: Path, size: int, changed: int) -> AudioReader:
    """Audio reader of an unchanged file."""
    return AudioReader(path)


@lru_cache(maxsize=4096)
def _frames(path: Path, size: int, changed: int) -> tuple[VideoReader, float]:
    """Video reader of an unchanged file, and its length in seconds."""
    frames = VideoReader(path)
    return frames, frames.length()
