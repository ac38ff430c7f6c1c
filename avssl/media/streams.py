"""Sequential readers of whole files with bounded memory, for `prepare`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.sidedata.sidedata import Type
from soundfile import SoundFile
from torch import Tensor

from avssl.errors import InputError
from avssl.media.audio_decode import LONGEST_JUMP, check_frame, native_samples
from avssl.media.channel_marks import read_channel_mark, read_stream_mark
from avssl.media.complete_file import check_complete
from avssl.media.container_cache import open_container, open_stream, reading, streams_of
from avssl.media.probe import probe
from avssl.media.sound_file import SUFFIXES, check_end, check_format, open_sound
from avssl.media.video_decode import beginning, iterate_frames
from avssl.spatial.resample import in_blocks

GAP = 0.1
"""Minimum gap in seconds between audio frames that is filled with zeros; less is rounding."""
LARGEST_BLOCK = 1 << 25
"""Samples of all channels in a block; ten seconds of third-order ambisonics at 192 kHz have fewer."""
LOST = 0.5
"""Tolerance in seconds, on top of a tenth of the length, by which a file may be shorter than its header states."""
# FFmpeg's AVSphericalProjection and AVStereo3DType.
_PROJECTIONS = ("equirectangular", "cubemap", "equirectangular tile", "half equirectangular", "rectilinear", "fisheye")
_STEREO = ("", "side-by-side", "top-bottom", "frame-sequential", "checkerboard", "side-by-side", "interlaced", "column")


class VideoReader:
    """Largest video stream of a file, without cover art.

    Args:
        path: any file that FFmpeg reads.

    Raises:
        InputError: it cannot be read, or has no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        videos = probe(path).videos
        if not videos:
            raise InputError(f"{path}: expected a video, it has no video stream")
        self.stream = max(range(len(videos)), key=lambda index: videos[index].width * videos[index].height)
        header = videos[self.stream]
        with self._opened() as (container, stream):
            first = next(_frames(container, stream), None)
        if first is None:
            raise InputError(f"{path}: expected a video, its {header.codec} stream has no decodable frames")
        self.width, self.height = int(first.width), int(first.height)
        self.aspect = self.width / self.height * header.aspect
        self.frame_rate, self.seconds = header.frame_rate, header.seconds
        self.projection, self.stereo = _spherical(first)
        self.turns = round(first.rotation / 90) % 4
        """Quarter turns counter-clockwise of the display rotation."""

    def length(self) -> float:
        """Seconds from the start of the file to the end of the last frame, from packets, not the header."""
        with self._opened() as (container, stream):
            last = max((_end(packet) for packet in _packets(container, stream)), default=0.0)
        return max(0.0, last - beginning(self.path, self.stream))

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """Frame at each time, scaled to `(height, width)`, not rotated; see `iterate_frames`."""
        return iterate_frames(self.path, times, size, self.stream)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with reading(self.path), open_container(self.path) as container:
            stream = streams_of(container, "video")[self.stream]
            stream.codec_context.thread_count = 1
            yield container, stream


class AudioReader:
    """Audio stream with the most channels of a file, in stored channel order.

    Args:
        path: any file that libsndfile or FFmpeg reads.

    Raises:
        InputError: it cannot be read, breaks off, has no audio, or a header that no audio has.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.stream, self.raw = path, 0, False
        check_complete(path)
        if path.suffix.lower() in SUFFIXES:
            with open_sound(path) as file:
                self.raw = file is not None
                if file is not None:
                    self._read_header(file)
        if not self.raw:
            self._probe_header()

    def _read_header(self, file: SoundFile) -> None:
        """Take over the header of a file that libsndfile reads."""
        self.channels, self.sample_rate, self.codec = file.channels, file.samplerate, file.subtype.lower()
        self.seconds = file.frames / file.samplerate
        if not file.frames:
            raise InputError(f"{self.path}: expected sound, it has a header and no samples")
        check_end(self.path, file)
        self.mark = read_channel_mark(self.path, self.channels)

    def _probe_header(self) -> None:
        """Take over the header of a stream that FFmpeg decodes."""
        path, audio_streams = self.path, probe(self.path).audio_streams
        if not audio_streams:
            raise InputError(f"{path}: expected sound, it has no sound stream")
        self.stream = max(range(len(audio_streams)), key=lambda index: audio_streams[index].channels)
        header = audio_streams[self.stream]
        self.channels, self.sample_rate, self.codec = header.channels, header.sample_rate, header.codec
        self.seconds = header.seconds
        if not self.channels or not self.sample_rate:
            raise InputError(f"{path}: expected sound, its {self.codec} stream has no channels or no sample rate")
        check_format(path, self.sample_rate, self.channels)
        self.mark = read_stream_mark(path, header)

    def play(self, seconds: float) -> Iterator[Tensor]:
        """Yield all audio in float32 blocks `(channels, samples)` of `seconds`; the last may be shorter.

        Time zero is the start of the file; a late start and gaps are filled with zeros.

        Raises:
            InputError: the file breaks off, or its sample rate or number of channels changes.
        """
        blocks = self._raw_blocks() if self.raw else self._decoded_blocks()
        samples = min(round(seconds * self.sample_rate), LARGEST_BLOCK // self.channels)
        yield from in_blocks(blocks, samples)

    def _raw_blocks(self) -> Iterator[Tensor]:
        with open_sound(self.path) as file:
            if file is None:
                raise InputError(f"{self.path}: expected sound, libsndfile no longer reads it")
            for block in file.blocks(blocksize=1 << 16, dtype="float32", always_2d=True):
                yield torch.from_numpy(np.ascontiguousarray(block.T))

    def _decoded_blocks(self) -> Iterator[Tensor]:
        position = 0
        with reading(self.path), open_stream(self.path, AudioStream, self.stream) as opened:
            zero = _zero(opened.container)
            for frame in _frames(opened.container, opened.stream):
                at = position if frame.time is None else round((frame.time - zero) * self.sample_rate)
                check_frame(self.path, frame, self.sample_rate, self.channels, at / self.sample_rate)
                piece = torch.from_numpy(native_samples(frame, range(self.channels)))
                piece = self._placed(piece, at - position, position)
                position += piece.shape[1]
                yield piece
        check_length(self.path, position / self.sample_rate, self.seconds)

    def _placed(self, piece: Tensor, late: int, position: int) -> Tensor:
        """Pad an audio frame at the front over a gap, or trim it before time zero."""
        if late > LONGEST_JUMP * self.sample_rate:
            raise InputError(f"{self.path}: time stamps jump {late / self.sample_rate:.0f} s at {position} samples")
        if late > (GAP * self.sample_rate if position else 0):
            return torch.nn.functional.pad(piece, (late, 0))
        return piece[:, -late:] if late < 0 and not position else piece


def check_length(path: Path, found: float, promised: float) -> None:
    """Reject a file that is much shorter than its header states.

    Args:
        path: the file, for the error.
        found: seconds that were decoded.
        promised: seconds by the header.

    Raises:
        InputError: the file is truncated.
    """
    if found < 0.9 * promised - LOST:
        raise InputError(f"{path}: expected {promised:.1f} s, the file breaks off after {found:.1f} s")


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Every packet of a stream, up to the end or a truncation."""
    with suppress(FFmpegError):
        yield from container.demux(stream)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Every decodable frame."""
    for packet in _packets(container, stream):
        with suppress(FFmpegError):
            yield from packet.decode()


def _zero(container: Any) -> float:
    """Start time of the file in seconds; negative times (encoder delay, edit list) are not played."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def _end(packet: Any) -> float:
    begins = packet.dts if packet.pts is None else packet.pts
    return 0.0 if begins is None else float((begins + (packet.duration or 0)) * packet.time_base)


def _spherical(frame: Any) -> tuple[str, str]:
    """Projection and stereo mode from frame side data; empty if absent."""
    projection = stereo = ""
    for data in frame.side_data:
        if data.type == Type.SPHERICAL:
            kind, *pose = struct.unpack("<4i", bytes(data)[:16])
            projection = _PROJECTIONS[kind] if kind < len(_PROJECTIONS) else f"projection {kind}"
            projection += " turned away from the front" if any(pose) else ""
        elif data.type == Type.STEREO3D:
            kind = struct.unpack("<i", bytes(data)[:4])[0]
            stereo = _STEREO[kind] if kind < len(_STEREO) else ""
    return projection, stereo
