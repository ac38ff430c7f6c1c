"""Audio and frames of a pipe or a device, in the order in which they come."""

# I input channels

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import av
import torch
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from torch import Tensor
from torch.nn import functional

from avssl.errors import InputError
from avssl.io.live_paths import STANDARD, is_live
from avssl.media.audio_decode import check_frame, native_samples
from avssl.media.container_cache import reading, streams_of
from avssl.media.native_layouts import release_channel_maps
from avssl.media.probe import audio_header, video_header
from avssl.media.projection_check import check_equirect
from avssl.media.stream_timeline import LONGEST_JUMP
from avssl.media.streams import GAP
from avssl.media.video_decode import rgb_image
from avssl_downstream.spatialize.frame_features import LiveFrames
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.input_media import input_mix
from avssl_downstream.spatialize.options import SpatializeOptions

logger = logging.getLogger(f"avssl.{__name__}")
PROBE = {"probesize": str(1 << 18), "analyzeduration": str(500_000)}
"""Bytes, and microseconds of the stream, that FFmpeg looks at before the first packet."""
LATE = 2.0
"""Seconds by which frames may lag behind the audio; after that the last frame stays, and later ones are left out."""
MISSING = 0.5
"""Seconds by which audio may be shorter than the header of its container states."""
CUT = "ended prematurely"
"""Message of FFmpeg about a container that ends within an element."""


class LiveInput:
    """A container with audio and video that is read once, such as Matroska, NUT or MPEG-TS from standard input.

    Args:
        path: `-` for standard input; a named pipe, a device, or a file.
        generator: gives the expected audio channels, size of frames and field of view.
        options: channel mix, and whether the user declares the video equirectangular.

    Raises:
        InputError: no container with audio and video, other channels than `mix` allows, or another field of view than
            the generator's.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, generator: Generator, options: SpatializeOptions) -> None:
        self.path, self.name = path, "standard input" if path == STANDARD else str(path)
        self._where, self._stack = Path(self.name), ExitStack()
        self.broken = ""
        """Reason why the input is not complete; empty: it is, as far as it can be seen."""
        with ExitStack() as opened:
            self._container = self._opened(opened)
            self._choose_streams()
            header = audio_header(self.audio)
            self.sample_rate, self.channels = header.sample_rate, header.channels
            self._mixed = input_mix(self._where, header.channels, header.codec, None, generator, options.mix)
            self._check_view(generator, options.panorama)
            self._stack = opened.pop_all()
        self._size, self._reformatter = generator.size, VideoReformatter()
        self.zero = (self._container.start_time or 0) / av.time_base
        """Seconds of the time stamps at the beginning."""

    def __enter__(self) -> LiveInput:
        """Itself, open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self._stack.close()

    @property
    def format(self) -> str:
        """FFmpeg's name of the container."""
        return str(self._container.format.name)

    def audio_blocks(self, frames: LiveFrames, copy: Callable[[Packet[Any]], None]) -> Iterator[Tensor]:
        """The generator's input audio, in blocks `(I, samples)` at the sample rate of the container.

        Args:
            frames: takes the frames that come between them.
            copy: takes every packet of the video.

        Raises:
            InputError: samples that are not finite, no sample at all, or a format that changes.
        """
        gate, samples = _FrameGate(frames), 0
        for packet in self._packets():
            for frame in self._decoded(packet):
                if packet.stream is self.video:
                    gate.push(rgb_image(self._reformatter, frame, *self._size[::-1]), (frame.time or 0.0) - self.zero)
                    continue
                block = self._block(frame, samples)
                samples += block.shape[1]
                gate.wait_for_audio(samples / self.sample_rate)
                yield self._mixed(block)
            if packet.stream is self.video and packet.size:
                copy(packet)
        if not samples:
            raise InputError(f"{self.name}: expected audio, got a stream without a decodable sample")
        self._compare_length(samples / self.sample_rate)

    def check_complete(self) -> None:
        """Raise if the input broke off.

        Raises:
            InputError: see `broken`.
        """
        if self.broken:
            raise InputError(f"{self.name}: expected a whole stream, {self.broken}; all that was complete is processed")

    def _opened(self, stack: ExitStack) -> Any:
        with reading(self._where):
            if not is_live(self.path):
                return stack.enter_context(av.open(f"file:{self.path}", metadata_errors="ignore"))
            # A file object and not FFmpeg's own pipe: reading it can be interrupted, and returns what there is.
            number = 0 if self.path == STANDARD else self.path
            source = stack.enter_context(FileIO(number, closefd=number != 0))
            return stack.enter_context(av.open(source, metadata_errors="ignore", container_options=PROBE))

    def _choose_streams(self) -> None:
        release_channel_maps(self._container)
        audio, video = streams_of(self._container, "audio"), streams_of(self._container, "video")
        for kind, each in (("audio", audio), ("video", video)):
            if not each:
                raise InputError(f"{self.name}: expected audio and video in one container, got no {kind}")
        self.audio = max(audio, key=lambda each: each.codec_context.layout.nb_channels)
        self.video = video[0]

    def _check_view(self, generator: Generator, declared: bool) -> None:
        header = video_header(self.video)
        aspect = header.width / max(1, header.height) * header.aspect
        if generator.panoramic:
            view = _FrameHeader(header.width, header.height, aspect, "", "")
            try:
                check_equirect(view, declared=declared, vouched=False, declare="panorama=true")
            except InputError as error:
                raise InputError(f"{self.name}: {error}") from error

    def _packets(self) -> Iterator[Any]:
        """All packets, up to the end or to where the container breaks off."""
        before = av.logging.get_level()
        av.logging.set_level(av.logging.ERROR)
        try:
            with av.logging.Capture(local=False) as messages:
                yield from self._container.demux(self.audio, self.video)
            if any(CUT in text for _, _, text in messages):
                self.broken = "this one ends within a packet"
        except FFmpegError as error:
            self.broken = f"this one cannot be read on: {error.strerror or error}"
        finally:
            av.logging.set_level(before)

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(packet.decode())
        except FFmpegError as error:
            logger.debug("%s: a packet cannot be decoded: %s", self.name, error)
            return []

    def _block(self, frame: Any, position: int) -> Tensor:
        """Samples of a frame of audio, after zeros where samples are missing."""
        at = position if frame.time is None else round((frame.time - self.zero) * self.sample_rate)
        check_frame(self._where, frame, self.sample_rate, self.channels, at / self.sample_rate)
        block = torch.from_numpy(native_samples(frame, range(self.channels)))
        if not bool(block.isfinite().all()):
            raise InputError(f"{self.name}: expected finite audio samples, got NaN or Inf")
        late = at - position
        if late > LONGEST_JUMP * self.sample_rate:
            raise InputError(f"{self.name}: time stamps jump {late / self.sample_rate:.0f} s at {position} samples")
        if late > (GAP * self.sample_rate if position else 0):
            return functional.pad(block, (late, 0))
        return block[:, -late:] if late < 0 and not position else block

    def _compare_length(self, seconds: float) -> None:
        stated = (self._container.duration or 0) / av.time_base - max(0.0, self.zero)  # Matroska counts from 0
        if not self.broken and seconds < stated - MISSING:
            self.broken = f"this one has {seconds:.1f} of {stated:.1f} s of audio"


class _FrameHeader(NamedTuple):
    """Header of frames, see `check_equirect`."""

    width: int
    height: int
    aspect: float
    projection: str
    stereo: str


class _FrameGate:
    """Passes frames on in ascending order, and repeats the last one where none came for `LATE` seconds."""

    def __init__(self, frames: LiveFrames) -> None:
        self._frames, self._last, self._seconds = frames, None, 0.0

    def push(self, image: Any, seconds: float) -> None:
        """Take a frame; one that comes too late, or at the time of another, is left out."""
        if self._last is not None and seconds <= self._seconds:
            return
        self._last, self._seconds = image, max(0.0, seconds)
        self._frames.push(image, self._seconds)

    def wait_for_audio(self, seconds: float) -> None:
        """Audio has come up to a time."""
        if self._last is not None and seconds > self._seconds + LATE:
            self._seconds = seconds - LATE
            self._frames.push(self._last, self._seconds)
