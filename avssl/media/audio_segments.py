"""Random-access audio reading; channels keep the stored order, no layout is converted."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn.functional import pad

from avssl.errors import InputError
from avssl.io.worker_note import note_file
from avssl.media.audio_decode import decode_segment, select_channels, stream_rate
from avssl.media.plain_wav import SUFFIXES as PLAIN
from avssl.media.plain_wav import PlainWav, plain_wav
from avssl.media.sound_file import SUFFIXES, open_sound
from avssl.regular_files import check_regular
from avssl.spatial.resample import resample, segment_with_context

BLOCK = 1 << 20
"""Frames that are read at once."""
SHORTAGE = 0.1
"""Seconds by which a lossy file may be shorter than its header states."""
LIBSNDFILE = SUFFIXES | {".ogg"}
"""Suffixes read by libsndfile, which keeps the stored order of 8-channel ogg files."""


def read_audio(
    path: Path | str, start: float, seconds: float, channels: Sequence[int] | None = None, stream: int = 0
) -> tuple[Tensor, int]:
    """Read a sample-exact audio segment.

    Args:
        path: wav, flac, caf, ... through libsndfile; anything else that FFmpeg reads.
        start: seconds from the file's beginning.
        seconds: length; zero-padded past the end of the file.
        channels: indices in the order of libsndfile or FFmpeg's decoder (YouTube's 6-channel AAC carries X, Y, W, 0,
            Z, 0); None reads all.
        stream: index of the audio stream.

    Returns:
        float32 `(channels, round(seconds * rate))`, full scale 1, and the rate in Hz.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no audio in the file, no such channel or stream, or the segment starts past the end.
    """
    path = Path(path)
    if start < 0 or seconds <= 0:
        raise InputError(f"{path}: expected start >= 0 and seconds > 0, got {start} and {seconds}")
    return _read(path, start, seconds, channels, stream)


def read_resampled(
    path: Path | str,
    start: float,
    seconds: float,
    sample_rate: int,
    channels: Sequence[int] | None = None,
    stream: int = 0,
) -> Tensor:
    """Read an audio segment at any rate, equal to the same segment of the resampled whole file.

    Training, embedding and inference share this function, so segment edges are identical in all three.

    Args:
        path: see `read_audio`.
        start: seconds from the file's beginning.
        seconds: length; zero-padded past the end of the file.
        sample_rate: output rate in Hz.
        channels: see `read_audio`.
        stream: see `read_audio`.

    Returns:
        float32 `(channels, round(seconds * sample_rate))`, full scale 1.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: see `read_audio`.
    """
    path = Path(path)
    rate = audio_rate(path, stream)
    if rate == sample_rate:
        return read_audio(path, start, seconds, channels, stream)[0]
    first, wide = segment_with_context(start, seconds, rate, sample_rate)
    found = resample(read_audio(path, first, wide, channels, stream)[0], rate, sample_rate)
    begin = round(start * sample_rate) - round(first * sample_rate)
    return found[:, begin : begin + round(seconds * sample_rate)]


def audio_rate(path: Path, stream: int = 0) -> int:
    """Sample rate of a file's audio stream in Hz, as returned by `read_audio`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no audio in the file, or no such stream.
    """
    status = check_regular(path, "sound")
    if plain := _plain(path, status, stream):
        return plain.samplerate
    if path.suffix.lower() in LIBSNDFILE and stream == 0:
        with open_sound(path) as file:
            if file is not None and file.subtype != "OPUS":
                return int(file.samplerate)
    return stream_rate(path, stream)


def read_all_audio(path: Path | str, channels: Sequence[int] | None = None, stream: int = 0) -> tuple[Tensor, int]:
    """Read all audio of a file; see `read_audio`."""
    return _read(Path(path), 0.0, math.inf, channels, stream)


def _read(path: Path, start: float, seconds: float, channels: Sequence[int] | None, stream: int) -> tuple[Tensor, int]:
    status = check_regular(path, "sound")
    note_file(path)
    if plain := _plain(path, status, stream):
        return _read_plain(plain, start, seconds, channels), plain.samplerate
    if path.suffix.lower() in LIBSNDFILE and stream == 0:
        with open_sound(path) as file:
            if file is not None and file.subtype != "OPUS":
                return _seek_and_read(path, file, start, seconds, channels), file.samplerate
    # Otherwise a caf or wav with a codec unsupported by libsndfile: FFmpeg reports the error.
    return decode_segment(path, start, seconds, channels, stream)


def _plain(path: Path, status: os.stat_result, stream: int) -> PlainWav | None:
    if stream or path.suffix.lower() not in PLAIN:
        return None
    return plain_wav(path, status.st_size, status.st_mtime_ns)


def _read_plain(file: PlainWav, start: float, seconds: float, channels: Sequence[int] | None) -> Tensor:
    indices = select_channels(file.path, channels, file.channels)
    first, wanted = _span(file.path, file, start, seconds)
    there = min(wanted, file.frames - first)
    samples = torch.from_numpy(file.read(first, there, indices))
    return samples if there == wanted else pad(samples, (0, wanted - there))


def _seek_and_read(
    path: Path, file: soundfile.SoundFile, start: float, seconds: float, channels: Sequence[int] | None
) -> Tensor:
    indices = select_channels(path, channels, file.channels)
    first, wanted = _span(path, file, start, seconds)
    there = file.frames - first
    file.seek(first)
    found = _read_frames(file, wanted)
    if len(found) < min(wanted, there) - SHORTAGE * file.samplerate:
        declared, ends = (each / file.samplerate for each in (file.frames, first + len(found)))
        raise InputError(f"{path}: expected {declared:.1f} s, the file breaks off after {ends:.1f} s")
    audio = np.zeros((len(indices), len(found) if math.isinf(seconds) else wanted), np.float32)
    audio[:, : len(found)] = found[:, indices].T
    return torch.from_numpy(audio)


def _span(path: Path, file: soundfile.SoundFile | PlainWav, start: float, seconds: float) -> tuple[int, int]:
    """First sample of a segment, and its number of samples, which may go on past the end of the file."""
    first = round(start * file.samplerate)
    if first >= file.frames:
        raise InputError(f"{path}: its sound ends at {file.frames / file.samplerate:.3f} s, asked for {start:.3f} s")
    return first, file.frames - first if math.isinf(seconds) else round(seconds * file.samplerate)


def _read_frames(file: soundfile.SoundFile, count: int) -> np.ndarray:
    """Frames `(frames, channels)` from the position of the file, block by block: a header may declare too many."""
    blocks = [file.read(min(count, BLOCK), dtype="float32", always_2d=True)]
    while len(blocks[-1]) == BLOCK:
        blocks.append(file.read(min(count - BLOCK * len(blocks), BLOCK), dtype="float32", always_2d=True))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
