"""Sequential reader of all audio of a file with bounded memory, for `prepare`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import torch
from av.audio.stream import AudioStream
from av.error import FFmpegError
from torch import Tensor

from avssl.errors import InputError
from avssl.media.audio_decode import native_samples
from avssl.media.container_cache import (
    missing_stream,
    open_container,
    open_stream,
    reading,
    streams_of,
    warn_of_undecodable,
)
from avssl.media.probe import audio_header
from avssl.media.stream_timeline import LONGEST_JUMP, agreed_length, measure_timeline
from avssl.regular_files import open_regular
from avssl.spatial.resample import in_blocks

GAP = 0.1
"""Minimum gap in seconds between audio frames that is filled with zeros; less is rounding."""
RAW = frozenset((".wav", ".wave", ".flac", ".caf", ".w64", ".rf64", ".aif", ".aiff"))
"""Suffixes read by libsndfile in stored channel order; FFmpeg reads undecodable ones."""


class AudioReader:
    """Audio stream with the most channels of a file, in stored channel order.

    Args:
        path: any file that libsndfile or FFmpeg reads.

    Raises:
        InputError: it cannot be read, or has no audio.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.raw = path.suffix.lower() in RAW and _is_sndfile(path)
        if self.raw:
            with _opened_raw(path) as file:
                self.channels, self.sample_rate, self.codec = file.channels, file.samplerate, file.subtype.lower()
                self.seconds, self.stated = file.frames / file.samplerate, True
            return
        with reading(path), open_container(path) as container:
            audio_streams = streams_of(container, "audio")
            if not audio_streams:
                raise missing_stream(path, container, "audio")
            headers = [audio_header(stream) for stream in audio_streams]
            self.stream = max(range(len(headers)), key=lambda index: headers[index].channels)
            warn_of_undecodable(path, container, "audio", audio_streams[self.stream])
        header = headers[self.stream]
        self.channels, self.sample_rate, self.codec = header.channels, header.sample_rate, header.codec
        self.seconds, self.stated = header.seconds, header.stated
        if not self.channels or not self.sample_rate:
            raise InputError(f"{path}: expected sound, its {self.codec} stream has no channels or no sample rate")

    def length(self) -> float:
        """Seconds from the start of the file to the end of the audio, by its packets; by the header where they agree.

        Raises:
            InputError: broken time stamps, see `measure_timeline`.
        """
        if self.raw:
            return float(self.seconds)
        with reading(self.path), open_stream(self.path, AudioStream, self.stream) as opened:
            zero = float(opened.origin * opened.tick)
            return agreed_length(self.seconds, measure_timeline(self.path, opened.packets(), opened.tick, zero).seconds)

    def play(self, seconds: float) -> Iterator[Tensor]:
        """Yield all audio in float32 blocks `(channels, samples)` of `seconds`; the last may be shorter.

        Time zero is the start of the file; a late start and gaps are filled with zeros.
        """
        blocks = self._raw_blocks() if self.raw else self._decoded_blocks()
        yield from in_blocks(blocks, round(seconds * self.sample_rate))

    def _raw_blocks(self) -> Iterator[Tensor]:
        with _opened_raw(self.path) as file:
            for block in file.blocks(blocksize=1 << 16, dtype="float32", always_2d=True):
                yield torch.from_numpy(np.ascontiguousarray(block.T))

    def _decoded_blocks(self) -> Iterator[Tensor]:
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
        """Pad an audio frame at the front over a gap, or trim it before time zero."""
        if late > LONGEST_JUMP * self.sample_rate:
            raise InputError(f"{self.path}: time stamps jump {late / self.sample_rate:.0f} s at {position} samples")
        if late > (GAP * self.sample_rate if position else 0):
            return torch.nn.functional.pad(piece, (late, 0))
        return piece[:, -late:] if late < 0 and not position else piece


def _is_sndfile(path: Path) -> bool:
    """Whether libsndfile decodes a file."""
    try:
        with open_regular(path, "sound") as file, soundfile.SoundFile(file):
            return True
    except soundfile.LibsndfileError:
        return False


@contextmanager
def _opened_raw(path: Path) -> Iterator[Any]:
    try:
        with open_regular(path, "sound") as file, soundfile.SoundFile(file) as audio:
            yield audio
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: expected sound, libsndfile says: {error.error_string}") from error


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
