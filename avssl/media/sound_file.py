"""Open sound files with libsndfile, once they are found to be complete, regular and of plausible numbers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import soundfile

from avssl.errors import InputError
from avssl.media.chunked_sound import read_chunks
from avssl.media.complete_file import check_stored
from avssl.regular_files import open_regular
from avssl.stores.virtual_paths import is_virtual

SUFFIXES = frozenset(
    (".wav", ".wave", ".flac", ".caf", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".amb")
)
"""Suffixes read by libsndfile in stored channel order; FFmpeg reads undecodable ones."""
RATES = (1000, 384_000)
"""Hz; resampling from a higher one that shares no factor with the target takes gigabytes."""
MOST_CHANNELS = 256
"""Ambisonics of order 15."""
_UNDECLARED = 2**62
"""Length that libsndfile gives to FLAC of an undeclared length."""


@contextmanager
def open_sound(path: Path) -> Iterator[soundfile.SoundFile | None]:
    """Open a complete sound file; None where libsndfile cannot read it, but FFmpeg perhaps can.

    A wav, RF64 or AU whose length was never filled in, as a recorder leaves it that loses power, is read to its end.

    Args:
        path: any file.

    Raises:
        InputError: it breaks off, is no regular file, has an implausible sample rate or number of channels, or
            libsndfile fails while it is open.
        OSError: it cannot be read.
    """
    with open_regular(path, "sound") as file:
        sound = read_chunks(file)
        if sound is not None:
            check_stored(path, sound)
        opened = _opened(path, file, sound.repairs if sound else {})
        if opened is None or opened.frames >= _UNDECLARED:
            yield None
            return
        with opened:
            check_format(path, opened.samplerate, opened.channels)
            try:
                yield opened
            except soundfile.LibsndfileError as error:
                raise InputError(f"{path}: expected sound, libsndfile says: {error.error_string}") from error


def check_end(path: Path, file: soundfile.SoundFile) -> None:
    """Check that the last sample that a FLAC header declares is there, by decoding it.

    Args:
        path: the file, for the error.
        file: of it; its position changes.

    Raises:
        InputError: the file breaks off, or declares more samples than it has.
    """
    if file.format != "FLAC" or not file.frames:
        return
    try:
        file.seek(file.frames - 1)
        if len(file.read(1)):
            return
    except soundfile.LibsndfileError:
        pass
    raise InputError(
        f"{path}: expected {file.frames} samples by its header, the file breaks off before the last; fetch or copy it "
        "again"
    )


def check_format(path: Path, sample_rate: int, channels: int) -> None:
    """Check the numbers of a header before memory is reserved by them.

    Args:
        path: file, for the error.
        sample_rate: Hz.
        channels: number of channels.

    Raises:
        InputError: a sample rate outside `RATES`, or more channels than `MOST_CHANNELS`, or none.
    """
    low, high = RATES
    if not low <= sample_rate <= high:
        raise InputError(
            f"{path}: expected a sample rate of {low} to {high} Hz, the header says {sample_rate} Hz; correct it"
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise InputError(f"{path}: expected 1 to {MOST_CHANNELS} channels of sound, the header says {channels}")


def _opened(path: Path, file: IO[bytes], repairs: dict[int, bytes]) -> soundfile.SoundFile | None:
    try:
        file.seek(0)
        if repairs:
            return soundfile.SoundFile(_Repaired(file, repairs))
        if is_virtual(path):
            return soundfile.SoundFile(file)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return soundfile.SoundFile(file.fileno(), closefd=False)
    except soundfile.LibsndfileError:
        return None


class _Repaired(io.RawIOBase):
    """A file with other bytes at a few offsets.

    Args:
        file: open for reading, seekable.
        repairs: offset -> bytes there.
    """

    def __init__(self, file: IO[bytes], repairs: dict[int, bytes]) -> None:
        self.file, self.repairs = file, repairs

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = self.file.tell()
        found = bytearray(self.file.read(len(buffer)))
        for offset, repair in self.repairs.items():
            for index, byte in enumerate(repair, offset - at):
                if 0 <= index < len(found):
                    found[index] = byte
        buffer[: len(found)] = bytes(found)
        return len(found)
