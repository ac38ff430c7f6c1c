"""Read stream information from file headers, with fallbacks where headers are unreliable."""

from __future__ import annotations

import re
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
from avssl.media.stream_timeline import ROUNDING

LOST = 0.5
"""Tolerance in seconds, on top of a tenth of the length, by which a file may be shorter than its header states."""
_TAGGED = re.compile(r"(\d{1,9}):(\d\d):(\d\d(?:\.\d{1,12})?)")
"""Statistics tag DURATION of mkvmerge and FFmpeg, the end of the stream: 00:00:06.000000000."""


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
    stated: bool
    """Whether the header states the duration of this stream; Matroska has one for all of them, and optional tags."""
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
    stated: bool
    """See `VideoStreamInfo`."""
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
            videos=tuple(map(video_header, videos)),
            audio_streams=tuple(map(audio_header, audio_streams)),
            metadata=dict(container.metadata),
        )


def video_header(stream: _Video) -> VideoStreamInfo:
    """Header of a video stream of an open container."""
    return VideoStreamInfo(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        frame_rate=float(stream.average_rate or stream.guessed_rate or 0),
        seconds=_length(stream),
        stated=_own_length(stream) > 0,
        codec=stream.codec_context.name,
        start=_start(stream),
        header_frames=stream.frames,
        aspect=float(stream.sample_aspect_ratio or 1),
    )


def audio_header(stream: _Audio) -> AudioStreamInfo:
    """Header of an audio stream of an open container."""
    return AudioStreamInfo(
        channels=stream.codec_context.layout.nb_channels,
        sample_rate=stream.codec_context.sample_rate,
        seconds=_length(stream),
        stated=_own_length(stream) > 0,
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
    whole, own = _whole_length(stream.container), _own_length(stream)
    # A tag counts the delay of a codec otherwise than the duration of the file.
    return whole if not own or (not stream.duration and abs(whole - own) <= ROUNDING) else own


def _whole_length(container: InputContainer) -> float:
    """Seconds of the file by its header; Matroska's duration counts from time stamp 0, not from the first one."""
    since = container.start_time or 0 if "matroska" in container.format.name else 0
    return max(0.0, ((container.duration or 0) - max(0, since)) / av.time_base)


def _own_length(stream: Stream) -> float:
    """Seconds of the stream itself by its header or, in Matroska, by its tags; 0 if it states none."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    tagged = _TAGGED.fullmatch(stream.metadata.get("DURATION", ""))
    if not tagged:
        return 0.0
    assert isinstance(stream.container, InputContainer)
    end = sum(float(part) * unit for part, unit in zip(tagged.groups(), (3600, 60, 1), strict=True))
    return max(0.0, end - max(0, stream.container.start_time or 0) / av.time_base)


def _seconds(container: InputContainer) -> float:
    return float(container.duration / av.time_base) if container.duration else _last_end(container)


def packets_end(path: Path) -> float:
    """Seconds from the start of a file to the end of the last packet of any stream, by their time stamps.

    Raises:
        InputError: it cannot be read.
    """
    with reading(path), open_container(path) as container:
        return _last_end(container)


def check_length(path: Path, found: float, promised: float, stated: bool = True) -> None:
    """Reject a file that is much shorter than its header states.

    Args:
        path: the file.
        found: seconds of the stream.
        promised: seconds by the header.
        stated: whether the header states them for this stream alone; else another stream may last so long.

    Raises:
        InputError: the file is truncated.
    """
    least = 0.9 * promised - LOST
    if found < least and (stated or packets_end(path) < least):
        raise InputError(f"{path}: expected {promised:.1f} s, the file breaks off after {found:.1f} s")


def _last_end(container: InputContainer) -> float:
    ends: list[Fraction] = []
    with suppress(FFmpegError):  # truncated file: duration up to the last packet
        ends.extend((p.pts + (p.duration or 0)) * p.time_base for p in container.demux() if p.pts is not None)
    return max(0.0, float(max(ends, default=0)) - max(0, container.start_time or 0) / av.time_base)
