"""Segments of plain wav files (16-bit PCM), read in place: without opening and checking the file at every read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from avssl.media.chunked_sound import read_chunks
from avssl.media.sound_file import open_sound
from avssl.regular_files import open_regular

SUFFIXES = (".wav", ".wave")


@dataclass(frozen=True)
class PlainWav:
    """Layout of a complete wav file of 16-bit samples."""

    path: Path
    begin: int
    """Offset of the samples, bytes."""
    samplerate: int
    """Hz."""
    channels: int
    frames: int
    """Samples of each channel."""

    def read(self, first: int, count: int, channels: list[int]) -> np.ndarray:
        """Samples from `first` on, as libsndfile reads them: float32 `(channels, count)`, full scale 1.

        Args:
            first: index of a sample.
            count: samples, at most those that follow `first`.
            channels: indices.

        Raises:
            OSError: it cannot be read.
        """
        with open_regular(self.path, "sound") as file:
            file.seek(self.begin + 2 * self.channels * first)
            stored = np.frombuffer(file.read(2 * self.channels * count), "<i2").reshape(-1, self.channels)
        chosen = stored.T if channels == list(range(self.channels)) else stored.T[channels]
        samples: np.ndarray = np.multiply(chosen, np.float32(1 / 2**15), dtype=np.float32, order="C")
        return samples


@lru_cache(maxsize=8192)
def plain_wav(path: Path, size: int, changed: int) -> PlainWav | None:
    """Layout of a wav file, or None if it is no complete wav file of 16-bit samples.

    Args:
        path: a file with a suffix of `SUFFIXES`.
        size: bytes, as it is now; a file that changes is looked at again.
        changed: time of the last change, ns.

    Raises:
        InputError: see `open_sound`.
        OSError: it cannot be read.
    """
    with open_sound(path) as opened:
        if opened is None or (opened.format, opened.subtype) not in (("WAV", "PCM_16"), ("WAVEX", "PCM_16")):
            return None
        samplerate, channels, frames = opened.samplerate, opened.channels, opened.frames
    with open_regular(path, "sound") as file:
        chunks = read_chunks(file)
        file.seek(0)
        little = file.read(4) == b"RIFF"
    length = 2 * channels * frames
    if chunks is None or not little or chunks.repairs or chunks.declared != length or chunks.stored < length:
        return None
    return PlainWav(path, chunks.begin, samplerate, channels, frames)
