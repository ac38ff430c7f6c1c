"""Sequential reader of all audio of a file with bounded memory, for `prepare`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.audio.stream import AudioStream
from av.error import FFmpegError
from soundfile import SoundFile
from torch import Tensor

from avssl.errors import InputError
from avssl.media.audio_decode import check_frame, native_samples
from avssl.media.channel_marks import read_channel_mark, read_stream_mark
from avssl.media.complete_file import check_complete
from avssl.media.container_cache import (
    missing_stream,
    open_container,
    open_stream,
    reading,
    streams_of,
    warn_of_undecodable,
)
from avssl.media.native_layouts import DECODED_OPUS
from avssl.media.probe import AudioStreamInfo, audio_header, check_length
from avssl.media.sound_file import SUFFIXES, check_end, check_format, open_sound
from avssl.media.stream_timeline import LONGEST_JUMP, agreed_length, measure_timeline
from avssl.spatial.resample import in_blocks

GAP = 0.1
"""Minimum gap in seconds between audio frames that is filled with zeros; less is rounding."""
LARGEST_BLOCK = 1 << 25
"""Samples of all channels in a block; ten seconds of third-order ambisonics at 192 kHz have fewer."""


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
            self._read_stream(self._choose_stream())

    def _read_header(self, file: SoundFile) -> None:
        """Take over the header of a file that libsndfile reads."""
        self.channels, self.sample_rate, self.codec = file.channels, file.samplerate, file.subtype.lower()
        self.seconds, self.stated = file.frames / file.samplerate, True
        if not file.frames:
            raise InputError(f"{self.path}: expected sound, it has a header and no samples")
        check_end(self.path, file)
        self.mark = read_channel_mark(self.path, self.channels)

    def _choose_stream(self) -> AudioStreamInfo:
        """Header of the stream with the most channels."""
        with reading(self.path), open_container(self.path) as container:
            audio_streams = streams_of(container, "audio")
            if not audio_streams:
                raise missing_stream(self.path, container, "audio")
            headers = [audio_header(stream) for stream in audio_streams]
            self.stream = max(range(len(headers)), key=lambda index: headers[index].channels)
            warn_of_undecodable(self.path, container, "audio", audio_streams[self.stream])
        return headers[self.stream]

    def _read_stream(self, header: AudioStreamInfo) -> None:
        """Take over the header of a stream that FFmpeg decodes."""
        path = self.path
        self.channels, self.sample_rate, self.codec = header.channels, header.sample_rate, header.codec
        self.seconds, self.stated = header.seconds, header.stated
        if header.opus_family not in DECODED_OPUS:
            expected = "expected Opus of mapping family 0, 1, 2 or 255, which FFmpeg decodes"
            raise InputError(f"{path}: {expected}, got {header.opus_family}; decode it with opusdec")
        if not self.channels or not self.sample_rate:
            raise InputError(f"{path}: expected sound, its {self.codec} stream has no channels or no sample rate")
        check_format(path, self.sample_rate, self.channels)
        self.mark = read_stream_mark(path, header)

    def length(self) -> float:
        """Seconds from the start of the file to the end of the audio, by its packets; by the header where they agree.

        Raises:
            InputError: the file breaks off, or has broken time stamps, see `measure_timeline`.
        """
        if self.raw:
            return float(self.seconds)
        with reading(self.path), open_stream(self.path, AudioStream, self.stream) as opened:
            zero = float(opened.origin * opened.tick)
            found = measure_timeline(self.path, opened.packets(), opened.tick, zero).seconds
        check_length(self.path, found, self.seconds, self.stated)
        return agreed_length(self.seconds, found)

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
        check_length(self.path, position / self.sample_rate, self.seconds, self.stated)

    def _placed(self, piece: Tensor, late: int, position: int) -> Tensor:
        """Pad an audio frame at the front over a gap, or trim it before time zero."""
        if late > LONGEST_JUMP * self.sample_rate:
            raise InputError(f"{self.path}: time stamps jump {late / self.sample_rate:.0f} s at {position} samples")
        if late > (GAP * self.sample_rate if position else 0):
            return torch.nn.functional.pad(piece, (late, 0))
        return piece[:, -late:] if late < 0 and not position else piece


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
