"""Read stream information from file headers, with fallbacks where headers are unreliable."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream as _Audio
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream as _Video

from avssl.errors import InputError
from avssl.media.container_cache import open_container, reading, streams_of
from avssl.media.native_layouts import opus_family


@dataclass(frozen=True)
class VideoStreamInfo:
    """Header of one video stream."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    frame_rate: float
    """Average frames per second, or FFmpeg's guess; 0 if neither is known."""
    seconds: float
    """Duration of the stream, or else of the file; 0 if the header has neither."""
    codec: str
    """FFmpeg's name."""
    start: float
    """Seconds from the file's beginning to the first frame."""
    header_frames: int
    """Frame count in the header: often one too many, 0 in webm and mkv."""
    aspect: float
    """Pixel aspect ratio (width / height); 1 if not in the header."""


@dataclass(frozen=True)
class AudioStreamInfo:
    """Header of one audio stream."""

    channels: int
    sample_rate: int
    """Hz."""
    seconds: float
    """Duration of the stream, or else of the file; 0 if the header has neither."""
    codec: str
    """FFmpeg's name."""
    layout: str
    """FFmpeg's channel layout name, such as quad or 5.1; ambisonics have none."""
    start: float
    """Seconds from the file's beginning to the first sample."""
    track: int = 0
    """Index among all sound tracks of the file, undecodable ones included."""
    opus_family: int = -1
    """Channel mapping family of Opus (RFC 7845); -1 for other codecs."""


@dataclass(frozen=True)
class MediaInfo:
    """Streams and metadata of a file."""

    seconds: float
    """Duration of the longest stream."""
    videos: tuple[VideoStreamInfo, ...]
    """Without cover art."""
    audio_streams: tuple[AudioStreamInfo, ...]
    metadata: dict[str, str]
    """Tags of the file; bytes that are not UTF-8 are left out."""

    @property
    def video(self) -> VideoStreamInfo | None:
        """The first video stream."""
        return next(iter(self.videos), None)

    @property
    def audio(self) -> AudioStreamInfo | None:
        """The first audio stream."""
        return next(iter(self.audio_streams), None)


def probe(path: Path | str) -> MediaInfo:
    """Read the header of a media file, and its packets where the header has no duration.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: neither video nor audio, or truncated before its header.
    """
    path = Path(path)
    with reading(path), open_container(path) as container:
        videos, audio_streams = streams_of(container, "video"), streams_of(container, "audio")
        if not videos and not audio_streams:
            raise InputError(f"{path}: expected video or sound, it has neither")
        return MediaInfo(
            seconds=_seconds(container),
            videos=tuple(map(_video, videos)),
            audio_streams=tuple(map(_audio, audio_streams)),
            metadata=dict(container.metadata),
        )


def _video(stream: _Video) -> VideoStreamInfo:
    return VideoStreamInfo(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        frame_rate=float(stream.average_rate or stream.guessed_rate or 0),
        seconds=_length(stream),
        codec=stream.codec_context.name,
        start=_start(stream),
        header_frames=stream.frames,
        aspect=float(stream.sample_aspect_ratio or 1),
    )


def _audio(stream: _Audio) -> AudioStreamInfo:
    return AudioStreamInfo(
        channels=stream.codec_context.layout.nb_channels,
        sample_rate=stream.codec_context.sample_rate,
        seconds=_length(stream),
        codec=stream.codec_context.name,
        layout=stream.codec_context.layout.name,
        start=_start(stream),
        track=[each.index for each in stream.container.streams if each.type == "audio"].index(stream.index),
        opus_family=opus_family(stream.codec_context),
    )


def _start(stream: Stream) -> float:
    assert isinstance(stream.container, InputContainer)
    origin = Fraction(max(0, stream.container.start_time or 0), av.time_base)
    return max(0.0, float((stream.start_time or 0) * (stream.time_base or 0) - origin))


def _length(stream: Stream) -> float:
    assert isinstance(stream.container, InputContainer)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float((stream.container.duration or 0) / av.time_base)


def _seconds(container: InputContainer) -> float:
    if container.duration:
        return float(container.duration / av.time_base)
    ends: list[Fraction] = []
    with suppress(FFmpegError):  # truncated file: duration up to the last packet
        ends.extend((p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None)
    return max(0.0, float(max(ends, default=0)) - max(0, container.start_time or 0) / av.time_base)
