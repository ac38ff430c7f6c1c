"""Atomic writers of video and audio files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType

import av
import numpy as np
import soundfile
import torch
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from torch import Tensor

from avssl.errors import InputError, OutputError
from avssl.io.atomic import replacing
from avssl.io.worker_note import beat
from avssl.media.write_errors import writing

# No B-frames and closed GOPs for fast seeking; fastdecode disables CABAC and deblocking.
X264 = {"preset": "veryfast", "tune": "fastdecode", "bf": "0", "sc_threshold": "0"}
AVX2 = {"x264-params": "asm=MMX2,SSE2Fast,SSSE3,SSE4.2,AVX,FMA3,BMI2,AVX2"}
"""Without AVX-512: with it libx264 165 codes the same frames otherwise now and then, once in some hundred films."""
SLOWEST = 0.001
"""Frames per second; lower rates do not fit the fractions that containers store."""


def write_video(
    path: Path | str, frames: Iterable[np.ndarray], frame_rate: float, *, gop: int = 8, crf: float = 20.0
) -> None:
    """Write RGB frames to an H.264 mp4 with fast random access.

    Args:
        path: the mp4 to write.
        frames: uint8 RGB `(height, width, 3)` each, even sides.
        frame_rate: frames per second, 0.001 or more.
        gop: frames from one key frame to the next.
        crf: x264's quality, 0 (lossless) to 51.

    Raises:
        InputError: a frame rate below 0.001, no frame, one that is not uint8 `(height, width, 3)` of the first one's
            size, or odd sides.
        OSError: the file cannot be written.
    """
    target = Path(path)
    if not SLOWEST <= frame_rate < math.inf:
        raise InputError(f"{target}: a frame rate is {SLOWEST} a second or more, not {frame_rate}")
    options = X264 | {"g": str(gop), "keyint_min": str(gop), "crf": str(crf)}
    with (
        replacing(target) as part,
        _Mp4Writer(target, part, Fraction(frame_rate).limit_denominator(1001), options) as writer,
    ):
        for frame in frames:
            writer.write(frame)


def write_audio(path: Path | str, audio: Tensor | np.ndarray, sample_rate: int, *, subtype: str = "PCM_16") -> None:
    """Write audio to a wav, flac or other file with libsndfile, format by suffix.

    Args:
        path: the file to write.
        audio: `(channels, samples)`, full scale 1; PCM subtypes clip beyond.
        sample_rate: Hz.
        subtype: libsndfile's name: PCM_16, PCM_24, FLOAT.

    Raises:
        InputError: not `(channels, samples)`, empty, not finite, or a kind of file that libsndfile does not write.
        OSError: the file cannot be written.
    """
    target, samples = Path(path), np.asarray(audio)
    if samples.ndim != 2 or not samples.size or not np.isfinite(samples).all():
        raise InputError(f"{target}: sound is finite (channels, samples), this is {samples.shape}")
    kind = target.suffix[1:].upper()
    if not soundfile.check_format(kind, subtype):
        raise InputError(f"{target}: libsndfile writes no {kind or 'nameless'} files of {subtype}")
    with replacing(target) as part, writing(target):
        soundfile.write(os.fsencode(part), samples.T, sample_rate, subtype=subtype, format=kind)


def require_folder(path: Path) -> Path:
    """Return an output path whose folder exists.

    Raises:
        OSError: the folder does not exist.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written: there is no folder {path.parent}")
    return path


def require_writable(path: Path) -> Path:
    """Return an output path whose folder is writable, tested with a temporary file.

    Raises:
        OSError: the folder is missing or not writable.
    """
    folder = require_folder(path).parent
    try:
        with TemporaryFile(dir=folder):  # permission bits are not reliable
            return path
    except OSError as error:
        raise OutputError(f"{path}: its folder cannot be written: {error.strerror}") from error


class _Mp4Writer:
    """H.264 mp4 writer; the context manager finishes the file."""

    def __init__(self, path: Path, part: Path, rate: Fraction, options: dict[str, str]) -> None:
        self.path, self.rate, self.options = path, rate, options
        self.frames = 0
        self.stream: VideoStream | None = None
        with writing(path):
            self.container = av.open(f"file:{part}", "w", format="mp4", options={"movflags": "+faststart"})

    def write(self, frame: np.ndarray) -> None:
        """Append one frame, uint8 RGB `(height, width, 3)`."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(f"{self.path}: frames are uint8 (height, width, 3), this is {frame.dtype} {frame.shape}")
        with writing(self.path):
            stream = self.stream = self.stream or self._open(*frame.shape[:2])
            if frame.shape[:2] != (stream.height, stream.width):
                raise InputError(f"{self.path}: frames are {stream.height} x {stream.width}, this is {frame.shape[:2]}")
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            image.pts, image.time_base = self.frames, 1 / self.rate
            self.container.mux(stream.encode(image))
        self.frames += 1
        beat()

    def __enter__(self) -> _Mp4Writer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            with suppress(FFmpegError):
                self.container.close()

    def _finish(self) -> None:
        if self.stream is None:
            raise InputError(f"{self.path}: a video has at least one frame, this has none")
        with writing(self.path):
            self.container.mux(self.stream.encode(None))
            self.container.close()

    def _open(self, height: int, width: int) -> VideoStream:
        if height % 2 or width % 2:
            raise InputError(f"{self.path}: expected even sides for H.264, these frames are {height} x {width}")
        avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
        options = self.options | AVX2 if avx512 else self.options
        stream = self.container.add_stream("libx264", rate=self.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        # Declare BT.601: players assume BT.709 for 720 rows or more without it.
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        return stream
