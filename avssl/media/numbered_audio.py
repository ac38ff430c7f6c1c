"""Read numbered audio files as one consecutive recording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from avssl.errors import InputError
from avssl.media.streams import AudioReader
from avssl.spatial.resample import in_blocks

SUFFIXES = frozenset((".wav", ".flac"))


class NumberedAudio:
    """Numbered audio files, such as 000000.wav, ordered by number.

    Args:
        folder: audio folder; other files and those without a number are ignored.

    Raises:
        InputError: no files, a missing number, or the first file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.files = _numbered(folder)
        first = AudioReader(self.files[0])
        self.channels, self.sample_rate, self.codec = first.channels, first.sample_rate, first.codec
        self.mark, self.stated = first.mark, True
        self.seconds = first.seconds * (len(self.files) - 1) + AudioReader(self.files[-1]).seconds

    def play(self, seconds: float) -> Iterator[Tensor]:
        """Yield all audio in float32 blocks `(channels, samples)` of `seconds`; the last may be shorter.

        Raises:
            InputError: a file cannot be read, or differs from the first in channels or rate.
        """
        yield from in_blocks(self._file_blocks(seconds), round(seconds * self.sample_rate))

    def _file_blocks(self, seconds: float) -> Iterator[Tensor]:
        for path in self.files:
            reader = AudioReader(path)
            if (reader.channels, reader.sample_rate) != (self.channels, self.sample_rate):
                wanted, found = (f"{each.channels} channels at {each.sample_rate} Hz" for each in (self, reader))
                raise InputError(f"{path}: expected {wanted} like the first file, got {found}")
            yield from reader.play(seconds)


def _numbered(folder: Path) -> list[Path]:
    """Files sorted by number; numbers must be consecutive."""
    names = (each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))
    found = sorted((int(digits[-1]), path) for path in names if (digits := re.findall("[0-9]+", path.stem)))
    if not found:
        raise InputError(f"{folder}: expected numbered audio files (.wav, .flac), found none")
    for expected, (number, path) in enumerate(found, found[0][0]):
        if number != expected:
            raise InputError(f"{folder}: expected audio file number {expected}, found {path.name}")
    return [path for _, path in found]
