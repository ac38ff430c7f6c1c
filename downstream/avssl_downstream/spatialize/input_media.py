"""Input of `spatialize`: a video file, its audio as blocks, its frames as visual features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from avssl.errors import InputError, MissingFileError
from avssl.media.channel_layouts import infer_layout
from avssl.media.channel_marks import ChannelMark
from avssl.media.projection_check import check_equirect, check_flat
from avssl.media.streams import AudioReader
from avssl.media.video_reader import VideoReader
from avssl_downstream.spatialize.foreground import load_foreground, without_background
from avssl_downstream.spatialize.frame_features import FrameFeatures, RecordedFrames
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.options import SpatializeOptions

BLOCK = 1.0
"""Seconds of audio read at once."""


class InputMedia:
    """A video with mono or stereo audio, or with the first-order sound field that a generator takes.

    Args:
        path: any video that FFmpeg reads.
        generator: gives the expected audio channels and field of view.
        options: channel mix, and whether the user declares the video equirectangular.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no audio, no video, more channels than `mix` allows, or another field of view than the generator's.
    """

    def __init__(self, path: Path, generator: Generator, options: SpatializeOptions) -> None:
        if not path.is_file():
            raise MissingFileError(f"{path}: expected a video, got no such file")
        self.path, self.video, self.audio = path, VideoReader(path), AudioReader(path)
        self.sample_rate, self.seconds = self.audio.sample_rate, self.audio.seconds
        self.channels = generator.input_channels
        audio = self.audio
        self._mixed = input_mix(path, audio.channels, audio.codec, audio.mark, generator, options.mix)
        _check_field_of_view(path, self.video, generator, options.panorama)
        self.foreground = load_foreground(options.segmenter, generator)

    def audio_blocks(self) -> Iterator[Tensor]:
        """The generator's input audio, in blocks `(I, samples)` at the file's sample rate.

        Raises:
            InputError: samples that are not finite, or no sample at all.
        """
        block = None
        for block in self.audio.play(BLOCK):
            if not bool(block.isfinite().all()):
                raise InputError(f"{self.audio.path}: expected finite audio samples, got NaN or Inf")
            yield self._mixed(block)
        if block is None:
            raise InputError(f"{self.audio.path}: expected audio, got a stream without a decodable sample")

    def mixed(self, channels: Tensor) -> Tensor:
        """The generator's input audio `(I, samples)` of all channels of the file."""
        return self._mixed(channels)

    def frame_features(self, generator: Generator) -> FrameFeatures:
        """Visual features of the file's frames, decoded when they are needed."""
        reader = without_background(self.foreground, self.video.frames, self.video.size)
        return FrameFeatures(generator, RecordedFrames(generator, reader, self.video.length()))


def input_mix(
    path: Path, channels: int, codec: str, mark: ChannelMark | None, generator: Generator, mix: str
) -> Callable[[Tensor], Tensor]:
    """The function from all channels of a stream, `(channels, samples)`, to those that a generator takes.

    Args:
        path: for errors.
        channels: of the stream.
        codec: FFmpeg's name.
        mark: declaration of ambisonics; None without one.
        generator: gives the number of channels.
        mix: see `SpatializeOptions`.

    Raises:
        InputError: more channels than `mix` allows, or no ambisonics where the generator takes them.
    """
    if generator.input_channels > 1 or (mix == "first" and mark is not None):
        field = _first_order(path, channels, codec, mark)
        return lambda block: field(block)[: generator.input_channels]
    if mix == "auto" and channels > 2:
        raise InputError(
            f"{path}: expected mono or stereo audio, got {channels} channels; set mix=mean, or mix=first (W of "
            "ambisonics)"
        )
    first = mix == "first" or channels == 1
    return lambda block: block[:1] if first else block.mean(0, keepdim=True)


def _first_order(path: Path, channels: int, codec: str, mark: ChannelMark | None) -> Callable[[Tensor], Tensor]:
    """The function from all channels of a stream to ambiX W, Y, Z, X."""
    try:
        return infer_layout(channels, codec, mark).to_ambix
    except InputError as error:
        expected = str(error).partition(";")[0]  # what follows is advice for `prepare`
        raise InputError(f"{path}: {expected}") from error


def _check_field_of_view(path: Path, video: VideoReader, generator: Generator, panorama: bool) -> None:
    try:
        if generator.panoramic:
            check_equirect(video, declared=panorama, vouched=False, declare="panorama=true")
        else:
            check_flat(video)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
