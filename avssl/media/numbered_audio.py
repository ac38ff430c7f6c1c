"""A sound in numbered files, one after the other, read as if it were one file."""

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
    """Numbered files, such as 000000.wav: as an order of time the number counts, not the name.

    Args:
        folder: where they lie; other files do not count, nor do those without a number.

    Raises:
        InputError: there are none, one is missing between two others, or the first cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.files = _numbered(folder)
        first = AudioReader(self.files[0])
        self.channels, self.sample_rate, self.codec = first.channels, first.sample_rate, first.codec
        self.seconds = first.seconds * (len(self.files) - 1) + AudioReader(self.files[-1]).seconds

    def play(self, seconds: float) -> Iterator[Tensor]:
        """All of it, in float32 blocks `(channels, samples)` of so many seconds; the last one may be shorter.

        Raises:
            InputError: a file cannot be read, or differs from the first in channels or rate.
        """
        yield from in_blocks(self._pieces(seconds), round(seconds * self.sample_rate))

    def _pieces(self, seconds: float) -> Iterator[Tensor]:
        for path in self.files:
            piece = AudioReader(path)
            if (piece.channels, piece.sample_rate) != (self.channels, self.sample_rate):
                wanted, found = (f"{each.channels} channels at {each.sample_rate} Hz" for each in (self, piece))
                raise InputError(f"{path}: expected {wanted} like the first piece, this is {found}")
            yield from piece.play(seconds)


def _numbered(folder: Path) -> list[Path]:
    """The files in the order of their numbers, which follow one another."""
    names = (each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))
    found = sorted((int(digits[-1]), path) for path in names if (digits := re.findall("[0-9]+", path.stem)))
    if not found:
        raise InputError(f"{folder}: expected numbered sound files (.wav, .flac), found none")
    for expected, (number, path) in enumerate(found, found[0][0]):
        if number != expected:
            raise InputError(f"{folder}: expected piece {expected} of the sound, found {path.name}")
    return [path for _, path in found]
