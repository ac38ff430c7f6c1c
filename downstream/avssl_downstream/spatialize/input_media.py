"""A file that is spatialized: its sound, its pictures, what is refused of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from avssl.errors import InputError, MissingFileError
from torch import Tensor

from avssl.media.channel_layouts import recognised_layout
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.streams import AudioReader, VideoReader
from avssl_downstream.spatialize.frame_features import FrameFeatures
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.options import SpatializeOptions

BLOCK = 1.0
"""Seconds of sound read at once."""


class InputMedia:
    """A video with mono or stereo sound, or with the field that a generator starts from.

    Args:
        path: any video that FFmpeg reads.
        generator: that is to spatialize it.
        options: what of its sound is taken, whether the user vouches for its pictures.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no sound, no pictures, more channels than `mix` knows what to do with, or pictures of another field
            of view than the generator's.
    """

    def __init__(self, path: Path, generator: Generator, options: SpatializeOptions) -> None:
        if not path.is_file():
            raise MissingFileError(f"{path}: expected a video, there is no such file")
        self.path, self.frames, self.audio = path, VideoReader(path), AudioReader(path)
        self.sample_rate, self.seconds = self.audio.sample_rate, self.audio.seconds
        self.channels = generator.input_channels
        self._mixed = _mix(path, self.audio, options.mix) if self.channels == 1 else _field(path, self.audio)
        _check_view(path, self.frames, generator, options.panorama)

    def audio_blocks(self) -> Iterator[Tensor]:
        """What the generator starts from, in blocks `(I, samples)` at its own rate: the sound mixed down, or a field.

        Raises:
            InputError: samples that are no numbers, or none at all.
        """
        block = None
        for block in self.audio.play(BLOCK):
            if not bool(block.isfinite().all()):
                raise InputError(f"{self.audio.path}: expected sound, some of its samples are not finite numbers")
            yield self._mixed(block)
        if block is None:
            raise InputError(f"{self.audio.path}: expected sound, its stream has none to decode")

    def frame_features(self, generator: Generator) -> FrameFeatures:
        """What a generator sees of its pictures."""
        return FrameFeatures(generator, self._frames, self.frames.length())

    def _frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        turns = self.frames.turns
        for frame in self.frames.frames(times, size[::-1] if turns % 2 else size):
            yield np.rot90(frame, turns)


def _mix(path: Path, audio: AudioReader, mix: str) -> Callable[[Tensor], Tensor]:
    """What makes one channel of a file's."""
    if mix == "auto" and audio.channels > 2:
        raise InputError(
            f"{path}: expected mono or stereo sound, this has {audio.channels} channels; say mix=mean, or mix=first "
            "for W of ambisonics"
        )
    first = mix == "first" or audio.channels == 1
    return lambda block: block[:1] if first else block.mean(0, keepdim=True)


def _field(path: Path, audio: AudioReader) -> Callable[[Tensor], Tensor]:
    """What makes W, Y, Z and X of a file's channels."""
    try:
        return recognised_layout(audio.channels, audio.codec).to_ambix
    except ValueError as error:
        expected = str(error).partition(";")[0]  # what follows is advice for `prepare`
        raise InputError(f"{path}: {expected}") from error


def _check_view(path: Path, frames: VideoReader, generator: Generator, panorama: bool) -> None:
    try:
        if generator.panoramic:
            check_equirect(frames, declared=panorama, vouched=False, declare="panorama=true")
        else:
            check_flat(frames)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
