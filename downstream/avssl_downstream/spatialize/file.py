"""A file that is spatialized: its sound, its pictures, what is refused of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from avssl.data.equirect import check_equirect, check_flat
from avssl.data.media.whole import Pictures, Sound
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.sights import Sights

BLOCK = 1.0
"""Seconds of sound read at once."""


class Source:
    """A video with mono or stereo sound, read once from beginning to end.

    Args:
        path: any video that FFmpeg reads.
        generator: that is to spatialize it.
        options: what of its sound is taken, whether the user vouches for its pictures.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no sound, no pictures, more channels than `mix` knows what to do with, or pictures of another field
            of view than the generator's.
    """

    def __init__(self, path: Path, generator: Generator, options: SpatializeOptions) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a video, there is no such file")
        self.path, self.pictures, self.sound = path, Pictures(path), Sound(path)
        self.sample_rate, self.seconds = self.sound.sample_rate, self.sound.seconds
        self._first = _is_first(path, self.sound.channels, options.mix)
        _check_view(path, self.pictures, generator, options.panorama)

    def mono(self) -> Iterator[Tensor]:
        """Its sound, mixed down, in blocks `(1, samples)` at its own rate.

        Raises:
            ValueError: samples that are no numbers, or none at all.
        """
        block = None
        for block in self.sound.play(BLOCK):
            if not bool(block.isfinite().all()):
                raise ValueError(f"{self.sound.path}: expected sound, some of its samples are not finite numbers")
            yield block[:1] if self._first else block.mean(0, keepdim=True)
        if block is None:
            raise ValueError(f"{self.sound.path}: expected sound, its stream has none to decode")

    def sights(self, generator: Generator) -> Sights:
        """What a generator sees of its pictures."""
        return Sights(generator, self._frames, self.pictures.length())

    def _frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        turns = self.pictures.turns
        for frame in self.pictures.frames(times, size[::-1] if turns % 2 else size):
            yield np.rot90(frame, turns)


def _is_first(path: Path, channels: int, mix: str) -> bool:
    if mix == "auto" and channels > 2:
        raise ValueError(
            f"{path}: expected mono or stereo sound, this has {channels} channels; say mix=mean, or mix=first for W of "
            "ambisonics"
        )
    return mix == "first" or channels == 1


def _check_view(path: Path, pictures: Pictures, generator: Generator, panorama: bool) -> None:
    try:
        if generator.panoramic:
            check_equirect(pictures, declared=panorama, vouched=False)
        else:
            check_flat(pictures)
    except ValueError as error:
        declare = str(error).replace("--projection equirect", "panorama=true")
        raise ValueError(f"{path}: {declare}") from error
