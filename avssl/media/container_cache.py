"""Containers held open: one file, one stream, one decoder on one thread; a bounded number of them a thread."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from avssl.errors import InputError, MissingFileError

S = TypeVar("S", VideoStream, AudioStream)
BUDGET = 64
"""What a thread holds open weighs at most so much: one a container, and one for each `PIXELS` of its pictures."""
PIXELS = 200_000
"""A decoder keeps some twenty frames in memory."""


@dataclass
class Opened(Generic[S]):
    """One stream of a file, ready to seek and decode."""

    path: Path
    container: InputContainer
    stream: S
    tick: Fraction
    """Seconds of one time stamp."""
    origin: int
    """Time stamp of the file's 0 s."""
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    anchor: float | None = None
    """What `frames.py` or `stretch.py` have found out about its time stamps."""

    @property
    def first(self) -> int:
        """Time stamp of the stream's beginning, as far as its header tells."""
        return self.origin if self.stream.start_time is None else max(self.stream.start_time, self.origin)

    @property
    def weight(self) -> int:
        """What it takes of the budget."""
        pixels = self.stream.width * self.stream.height if isinstance(self.stream, VideoStream) else 0
        return 1 + pixels // PIXELS

    def __enter__(self) -> Opened[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def seek(self, stamp: int) -> None:
        """Go to the last key frame at or before a time stamp, or to the beginning."""
        try:
            self.container.seek(stamp, stream=self.stream)
        except FFmpegError:
            # Matroska without cues for this stream: by time, over all streams.
            self.container.seek(max(0, int(stamp * self.tick * av.time_base)))

    def rewind(self) -> None:
        """Go to the very beginning, ahead of an encoder's delay too: what lies before 0 s is decoded as well."""
        self.seek(self.first - int(1 / self.tick))

    def packets(self) -> Iterator[Packet[S]]:
        """What follows, up to where the file ends or breaks off."""
        with suppress(FFmpegError):
            yield from self.container.demux(self.stream)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """One line with the path, whatever PyAV ran into."""
    try:
        yield
    except (FFmpegError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, FFmpegError) else str(error)
        raise InputError(f"{path}: expected video or sound, cannot be read: {reason}") from error


def open_container(path: Path) -> InputContainer:
    """Open a file of any kind that FFmpeg knows.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: not video or sound, or broken off before its header.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected a video or sound file, there is none")
    with reading(path):
        # `file:` keeps a colon in a name from being taken for a protocol; HMDB51 has tags that are not UTF-8.
        return av.open(f"file:{path}", metadata_errors="ignore")


def streams_of(container: InputContainer, kind: Literal["video", "audio"]) -> list[Any]:
    """The streams of one kind, without cover art and what there is no decoder for."""
    streams = [stream for stream in container.streams if stream.type == kind and stream.codec_context is not None]
    return [stream for stream in streams if not stream.disposition & Disposition.attached_pic]


def open_stream(path: Path, kind: type[S], index: int = 0) -> Opened[S]:
    """Open one stream of a file.

    Args:
        path: any file that FFmpeg knows.
        kind: PyAV's class of video or of audio streams.
        index: which of the streams of this kind.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: not video or sound, or there is no such stream.
    """
    container = open_container(path)
    streams: list[S] = streams_of(container, "video" if kind is VideoStream else "audio")
    if not 0 <= index < len(streams):
        container.close()
        name = "video" if kind is VideoStream else "audio"
        raise InputError(f"{path}: expected {name} (stream {index}), it has {len(streams)} {name} streams")
    stream = streams[index]
    # Frame threads deadlock when a loop over frames is left early; loaders use the cores by processes.
    stream.codec_context.thread_count = 1
    tick = Fraction(stream.time_base or Fraction(1, av.time_base))
    # What lies before 0 (encoder delay, cut by an edit list) is not played; what begins late begins at 0.
    origin = max(0, container.start_time or 0) / (av.time_base * tick)
    return Opened(path, container, stream, tick, round(origin))


class _Shelf(threading.local):
    """The containers that this thread of this process holds open, the longest unused one first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.held: OrderedDict[tuple[object, ...], Opened[Any]] = OrderedDict()


_shelf = _Shelf()


def borrow(path: Path, kind: type[S], index: int = 0) -> Opened[S]:
    """One stream of a file, from those held open if it is the same file still; see `open_stream`."""
    if _shelf.process != os.getpid():
        # After a fork the file positions are shared with the parent: begin anew.
        _shelf.__init__()  # type: ignore[misc]
    status = path.stat() if path.is_file() else None
    key = (str(path), kind, index, status and (status.st_ino, status.st_size, status.st_mtime_ns))
    opened = _shelf.held.pop(key, None) or open_stream(path, kind, index)
    _shelf.held[key] = opened
    while len(_shelf.held) > 1 and sum(each.weight for each in _shelf.held.values()) > BUDGET:
        _shelf.held.popitem(last=False)[1].container.close()
    return opened


def close_all() -> None:
    """Close what this thread holds open."""
    while _shelf.held:
        _shelf.held.popitem()[1].container.close()
