"""Read a whole file once, from beginning to end, with little of it in memory: what `prepare` needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from av.error import FFmpegError
from av.sidedata.sidedata import Type
from torch import Tensor

from avssl.errors import InputError
from avssl.media.audio_decode import native_samples
from avssl.media.container_cache import open_container, reading, streams_of
from avssl.media.probe import probe
from avssl.media.video_decode import beginning, iterate_frames
from avssl.spatial.resample import in_blocks

LONGEST_JUMP = 600.0
"""Seconds between neighbouring pieces of sound; more is a broken time stamp, not a pause."""
GAP = 0.1
"""Seconds missing between pieces of sound before silence is put there; less is rounding."""
RAW = frozenset((".wav", ".wave", ".flac", ".caf", ".w64", ".rf64", ".aif", ".aiff"))
"""Sound files whose channels libsndfile gives as they are stored; what it cannot decode in them is FFmpeg's."""
# FFmpeg's AVSphericalProjection and AVStereo3DType.
_PROJECTIONS = ("equirectangular", "cubemap", "equirectangular tile", "half equirectangular", "rectilinear", "fisheye")
_STEREO = ("", "side-by-side", "top-bottom", "frame-sequential", "checkerboard", "side-by-side", "interlaced", "column")


class VideoReader:
    """The largest picture stream of a file; cover art does not count.

    Args:
        path: any file that FFmpeg reads.

    Raises:
        InputError: it cannot be read, or has no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        videos = probe(path).videos
        if not videos:
            raise InputError(f"{path}: expected a video, it has no picture stream")
        self.stream = max(range(len(videos)), key=lambda index: videos[index].width * videos[index].height)
        header = videos[self.stream]
        with self._opened() as (container, stream):
            first = next(_frames(container, stream), None)
        if first is None:
            raise InputError(f"{path}: expected pictures, its {header.codec} stream has none to decode")
        self.width, self.height = int(first.width), int(first.height)
        self.aspect = self.width / self.height * header.aspect
        self.frame_rate, self.seconds = header.frame_rate, header.seconds
        self.projection, self.stereo = _spherical(first)
        self.turns = round(first.rotation / 90) % 4
        """Quarter turns counter-clockwise, by which players turn what telephones held upright record."""

    def length(self) -> float:
        """Seconds from the file's beginning to the end of the last picture that is there: no header is believed."""
        with self._opened() as (container, stream):
            last = max((_end(packet) for packet in _packets(container, stream)), default=0.0)
        return max(0.0, last - beginning(self.path, self.stream))

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """The picture shown at each instant, scaled to `(height, width)`, not turned; see `iterate_frames`."""
        return iterate_frames(self.path, times, size, self.stream)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with reading(self.path), open_container(self.path) as container:
            stream = streams_of(container, "video")[self.stream]
            stream.codec_context.thread_count = 1
            yield container, stream


class AudioReader:
    """The sound stream with the most channels of a file, its channels as they are stored.

    Args:
        path: any file that libsndfile or FFmpeg reads.

    Raises:
        InputError: it cannot be read, or has no sound.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.raw = path.suffix.lower() in RAW and _is_known(path)
        if self.raw:
            with _opened_raw(path) as file:
                self.channels, self.sample_rate, self.codec = file.channels, file.samplerate, file.subtype.lower()
                self.seconds = file.frames / file.samplerate
            return
        audio_streams = probe(path).audio_streams
        if not audio_streams:
            raise InputError(f"{path}: expected sound, it has no sound stream")
        self.stream = max(range(len(audio_streams)), key=lambda index: audio_streams[index].channels)
        header = audio_streams[self.stream]
        self.channels, self.sample_rate, self.codec = header.channels, header.sample_rate, header.codec
        self.seconds = header.seconds
        if not self.channels or not self.sample_rate:
            raise InputError(f"{path}: expected sound, its {self.codec} stream has no channels or no sample rate")

    def play(self, seconds: float) -> Iterator[Tensor]:
        """All of it, in float32 blocks `(channels, samples)` of so many seconds; the last one may be shorter.

        Time zero is where the file begins; what lacks before the sound and in gaps is silence.
        """
        pieces = self._raw_pieces() if self.raw else self._pieces()
        yield from in_blocks(pieces, round(seconds * self.sample_rate))

    def _raw_pieces(self) -> Iterator[Tensor]:
        with _opened_raw(self.path) as file:
            for block in file.blocks(blocksize=1 << 16, dtype="float32", always_2d=True):
                yield torch.from_numpy(np.ascontiguousarray(block.T))

    def _pieces(self) -> Iterator[Tensor]:
        with reading(self.path), open_container(self.path) as container:
            stream, zero, position = streams_of(container, "audio")[self.stream], _zero(container), 0
            for frame in _frames(container, stream):
                count = frame.layout.nb_channels
                if count != self.channels:
                    raise InputError(f"{self.path}: expected {self.channels} channels to the end, then come {count}")
                begins = position if frame.time is None else round((frame.time - zero) * self.sample_rate)
                piece = torch.from_numpy(native_samples(frame, range(self.channels)))
                piece = self._placed(piece, begins - position, position)
                position += piece.shape[1]
                yield piece

    def _placed(self, piece: Tensor, late: int, position: int) -> Tensor:
        """A piece with silence before it where some is missing, or cut where it begins before time zero."""
        if late > LONGEST_JUMP * self.sample_rate:
            raise InputError(f"{self.path}: time stamps jump {late / self.sample_rate:.0f} s at {position} samples")
        if late > (GAP * self.sample_rate if position else 0):
            return torch.nn.functional.pad(piece, (late, 0))
        return piece[:, -late:] if late < 0 and not position else piece


def _is_known(path: Path) -> bool:
    """Whether libsndfile decodes a file; only then are its words about it worth more than FFmpeg's."""
    try:
        with path.open("rb") as file, soundfile.SoundFile(file):
            return True
    except soundfile.LibsndfileError:
        return False


@contextmanager
def _opened_raw(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file, soundfile.SoundFile(file) as audio:
            yield audio
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: expected sound, libsndfile says: {error.error_string}") from error


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Every packet of a stream, up to where the file ends or breaks off."""
    with suppress(FFmpegError):
        yield from container.demux(stream)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Every frame that can be decoded."""
    for packet in _packets(container, stream):
        with suppress(FFmpegError):
            yield from packet.decode()


def _zero(container: Any) -> float:
    """Seconds at which the file begins; what lies before 0 (encoder delay, cut by an edit list) is not played."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def _end(packet: Any) -> float:
    begins = packet.dts if packet.pts is None else packet.pts
    return 0.0 if begins is None else float((begins + (packet.duration or 0)) * packet.time_base)


def _spherical(frame: Any) -> tuple[str, str]:
    """Projection and stereo arrangement that travel with a picture; empty where the header says nothing."""
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
