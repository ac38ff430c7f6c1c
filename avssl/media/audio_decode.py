"""Sample-exact decoding of audio segments with FFmpeg."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from av.audio.stream import AudioStream
from av.error import FFmpegError
from torch import Tensor

from avssl.errors import InputError
from avssl.media.container_cache import Opened, borrow, reading
from avssl.media.sound_file import check_format
from avssl.media.stream_timeline import LONGEST_JUMP

PREROLL = 0.5
"""Seconds decoded ahead and discarded: Opus then matches an uninterrupted decode within 1e-6 (0.25: 2e-4)."""
BACK = (0.0, 1.0, 5.0, 20.0, math.inf)
"""Seconds to step back when a seek lands after the requested time."""
GAP = 0.03
"""Seconds between two frames that count as a gap; less is a rounded time stamp."""
FORMATS = {
    "u8": ("u1", 2**7),
    "s16": ("i2", 2**15),
    "s32": ("i4", 2**31),
    "s64": ("i8", 2**63),
    "flt": ("f4", 1),
    "dbl": ("f8", 1),
}
"""FFmpeg sample format -> NumPy type, full scale."""


@dataclass
class _Run:
    """Consecutive frames without a gap."""

    frames: list[np.ndarray] = field(default_factory=list)
    samples: int = 0
    shifts: list[float] = field(default_factory=list)
    """Start of the run in samples, estimated from each frame's time stamp."""

    def add(self, at: float, frame: np.ndarray) -> None:
        """Append a frame that begins at sample `at` by its time stamp."""
        self.shifts.append(at - self.samples)
        self.frames.append(frame)
        self.samples += frame.shape[1]

    @property
    def begin(self) -> float:
        """Start in samples: the median over time stamps, as each is rounded to a tick and the last may be wrong."""
        return median(self.shifts)


def decode_segment(
    path: Path, start: float, seconds: float, channels: Sequence[int] | None, stream: int
) -> tuple[Tensor, int]:
    """Decode a segment with FFmpeg as `read_audio` returns it; the whole file if `seconds` is infinite."""
    with reading(path):
        opened = _settled(borrow(path, AudioStream, stream))
        rate = opened.sample_rate
        first = round(start * rate)
        end = math.inf if math.isinf(seconds) else first + round(seconds * rate)
        runs = _runs(opened, first, end, select_channels(path, channels, opened.channels))
        return _assemble(opened, runs, first, end), rate


def stream_rate(path: Path, stream: int) -> int:
    """Sample rate in Hz of an audio stream decoded by FFmpeg.

    Raises:
        InputError: no such stream.
    """
    with reading(path):
        return _settled(borrow(path, AudioStream, stream)).sample_rate


def select_channels(path: Path, channels: Sequence[int] | None, count: int) -> list[int]:
    """Validated channel indices; all channels for None.

    Raises:
        InputError: an index is not among the file's `count` channels.
    """
    indices = list(range(count)) if channels is None else list(channels)
    if not indices or not all(0 <= index < count for index in indices):
        raise InputError(f"{path}: its sound has {count} channels, asked for {indices} (the first is 0)")
    return indices


def _settled(opened: Opened[AudioStream]) -> Opened[AudioStream]:
    """Run the first decode, which trims encoder delay differently from later ones, and set format and anchor."""
    if opened.anchor is None:
        frame = next(_frames(opened), None)
        if frame is None:
            raise InputError(f"{opened.path}: no sound of it can be decoded")
        check_format(opened.path, frame.sample_rate, frame.layout.nb_channels)
        opened.sample_rate, opened.channels = frame.sample_rate, frame.layout.nb_channels
        opened.anchor = _anchor(opened) if _rounds(opened) else 0.0
    return opened


def _runs(opened: Opened[AudioStream], first: int, end: float, channels: list[int]) -> list[_Run]:
    """Decode from a preroll before `first` to `end`, in samples."""
    rate = opened.sample_rate
    preroll = max(PREROLL * rate, 3 * (opened.stream.codec_context.frame_size or 0))
    for back in BACK:
        beginning = first - preroll - back * rate
        from_the_start = beginning <= 0
        opened.rewind() if from_the_start else opened.seek(opened.origin + int(beginning / rate / opened.tick))
        runs = _group_runs(_decoded(opened, end, channels), GAP * rate)
        if from_the_start or (runs and runs[0].begin <= beginning + preroll / 2):
            return runs
    raise AssertionError("the last step back leads to the beginning")


def _decoded(opened: Opened[AudioStream], end: float, channels: list[int]) -> Iterator[tuple[float, np.ndarray]]:
    """Frames up to past `end`, each with its start in samples by its time stamp."""
    rate = opened.sample_rate
    scale = float(opened.tick * rate)
    for frame in _frames(opened):
        at = ((frame.pts or 0) - opened.origin) * scale
        check_frame(opened.path, frame, rate, opened.channels, at / rate)
        yield at, native_samples(frame, channels)
        # One frame past the end distinguishes a gap from the end of the stream; time stamps may be rounded up.
        if at >= end + GAP * rate:
            return


def _frames(opened: Opened[AudioStream]) -> Iterator[AudioFrame]:
    """Frames with samples from the position of the container on."""
    context = opened.stream.codec_context
    for packet in chain(opened.packets(), [None]):
        try:
            frames = context.decode(packet)
        except EOFError:
            return
        except FFmpegError:
            continue  # a broken packet leaves a gap
        yield from (frame for frame in frames if frame.samples)


def check_frame(path: Path, frame: AudioFrame, sample_rate: int, channels: int, at: float) -> None:
    """Check that a decoded frame has the format of the stream so far.

    Args:
        path: the file, for the error.
        frame: frame of it.
        sample_rate: expected, Hz.
        channels: expected number.
        at: seconds from the file's beginning to the frame, for the error.

    Raises:
        InputError: the sample rate or the number of channels differs, as in files joined from several.
    """
    found = frame.sample_rate, frame.layout.nb_channels
    if found != (sample_rate, channels):
        expected, got = (f"{count} channels at {rate} Hz" for rate, count in ((sample_rate, channels), found))
        raise InputError(f"{path}: expected {expected} throughout, got {got} at {at:.1f} s; convert it to one format")


def native_samples(frame: AudioFrame, channels: Sequence[int]) -> np.ndarray:
    """Selected channels of a decoded frame in stored order: float32 `(channels, samples)`, full scale 1."""
    # AudioFrame.planes and to_ndarray read past eight planar channels and crash (PyAV 18.1): each plane by its index.
    kind, full_scale = FORMATS[frame.format.name.removesuffix("p")]
    if frame.format.is_planar:
        planes = [_plane(frame, channel, kind, frame.samples) for channel in channels]
        audio = np.stack(planes)
    else:
        count = frame.layout.nb_channels
        packed = _plane(frame, 0, kind, frame.samples * count)
        audio = packed.reshape(frame.samples, count).T[list(channels)]
    centred = audio.astype(np.float32) - (full_scale if kind == "u1" else 0)
    return centred / np.float32(full_scale) if full_scale != 1 else centred


def _plane(frame: AudioFrame, index: int, kind: str, count: int) -> np.ndarray:
    plane: Any = AudioPlane(frame, index)
    return np.frombuffer(plane, np.dtype(kind), count)


def _group_runs(frames: Iterable[tuple[float, np.ndarray]], gap: float) -> list[_Run]:
    runs: list[_Run] = []
    for at, frame in frames:
        if not runs or abs(at - runs[-1].begin - runs[-1].samples) > gap:
            runs.append(_Run())
        runs[-1].add(at, frame)
    return runs


def _assemble(opened: Opened[AudioStream], runs: list[_Run], first: int, end: float) -> Tensor:
    """Place the runs on a zero-filled segment."""
    if not runs:
        raise InputError(f"{opened.path}: no sound of it can be decoded")
    begins = [_on_grid(opened, run) for run in runs]
    if math.isinf(end):
        _check_jumps(opened, runs, begins)
    last = max(begin + run.samples for begin, run in zip(begins, runs, strict=True))
    if last <= first:
        rate = opened.sample_rate
        raise InputError(f"{opened.path}: its sound ends at {last / rate:.3f} s, asked for {first / rate:.3f} s")
    count = int(min(end, last) if math.isinf(end) else end) - first
    audio = np.zeros((runs[0].frames[0].shape[0], count), np.float32)
    for begin, run in zip(begins, runs, strict=True):
        at = begin - first
        for frame in run.frames:
            low, high = max(0, at), min(count, at + frame.shape[1])
            if low < high:
                audio[:, low:high] = frame[:, low - at : high - at]
            at += frame.shape[1]
    return torch.from_numpy(audio)


def _check_jumps(opened: Opened[AudioStream], runs: list[_Run], begins: list[int]) -> None:
    """Check that runs follow each other closely enough for the zeros between them to be meant."""
    for run, begin, following in zip(runs, begins, begins[1:], strict=False):
        if (jump := (following - begin - run.samples) / opened.sample_rate) > LONGEST_JUMP:
            raise InputError(f"{opened.path}: time stamps jump {jump:.0f} s at {begin + run.samples} samples")


def _on_grid(opened: Opened[AudioStream], run: _Run) -> int:
    """Sample-exact start of a run, although time stamps may be rounded to milliseconds (Matroska, WebM).

    Decoders return whole blocks: frame ends are a whole number of blocks after the end of the first frame.
    """
    if not _rounds(opened) or opened.anchor is None:
        return round(run.begin)
    block = _block(opened.stream)
    edge = run.begin + run.frames[0].shape[1]
    blocks = round((edge - opened.anchor) / block)
    return int(round(opened.anchor) + block * blocks - run.frames[0].shape[1])


def _rounds(opened: Opened[AudioStream]) -> bool:
    return opened.tick * opened.sample_rate > 1


def _anchor(opened: Opened[AudioStream]) -> float:
    """End of the first frame in samples, from the time stamps of the first second."""
    opened.rewind()
    rate = opened.sample_rate
    second = float((opened.first - opened.origin) * opened.tick + 1) * rate
    runs = _group_runs(_decoded(opened, second, [0]), GAP * rate)
    return float(runs[0].begin + runs[0].frames[0].shape[1]) if runs else 0.0


def _block(stream: AudioStream) -> int:
    """Greatest common divisor of the frame lengths in samples; 1 if unknown."""
    context = stream.codec_context
    if context.name == "opus":
        return context.sample_rate // 400  # its shortest frame: 2.5 ms
    if context.name == "vorbis" and context.extradata:
        sizes = context.extradata[context.extradata.index(b"\x01vorbis") + 28]
        small, large = 2 ** (sizes & 15), 2 ** (sizes >> 4)
        return math.gcd(small // 2, small // 4 + large // 4, large // 2)
    return context.frame_size or 1
