"""Per-thread LRU cache of open containers: one file, stream and single-threaded decoder each."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from avssl.errors import InputError
from avssl.io.worker_note import beat, note_file
from avssl.media.native_layouts import declare_discrete, release_channel_maps
from avssl.regular_files import check_regular, open_regular
from avssl.stores.virtual_paths import is_virtual

logger = logging.getLogger(__name__)
S = TypeVar("S", VideoStream, AudioStream)
BUDGET = 64
"""Maximum total weight per thread: 1 per container plus 1 per `PIXELS` of its frame size."""
PIXELS = 200_000
"""A decoder keeps some twenty frames in memory."""
LARGEST_FRAME = 1 << 26
"""Pixels; 12K equirectangular frames have 66,355,200."""
_REFERRING = frozenset(
    ("concat", "dash", "hds", "hls", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "smoothstreaming", "tee",
     "vobsub", "webm_dash_manifest")
)  # fmt: skip
"""Formats of FFmpeg that name other files or addresses, which it would open: pipes, devices, files of other folders."""
_LISTS = (b"ffconcat version", b"#EXTM3U", b"<MPD")
_OPTIONS = {"format_whitelist": ",".join(sorted(av.formats_available - _REFERRING)), "protocol_whitelist": "file"}
_NONE: Mapping[str, str] = MappingProxyType({})
_UNPROBED = MappingProxyType({"probesize": "32", "analyzeduration": "1", "fpsprobesize": "0"})
"""Options without which FFmpeg decodes the beginning of a file whenever it is opened."""
_COMPLETE = frozenset(("vp8", "vp9", "av1"))
"""Codecs of which Matroska's header and the frames themselves say all that the decoder needs: those of H.264 may lack
how far frames are reordered, which FFmpeg finds by decoding."""
_KNOWN = 4096
"""Files whose probed facts are kept."""
_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_STILL = frozenset(("mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000", "jpegls"))
"""Codecs of cover art that a muxer stored as a video track; films in them have no other video beside."""


@dataclass
class Opened(Generic[S]):
    """One stream of a file, ready to seek and decode."""

    path: Path
    container: InputContainer
    stream: S
    tick: Fraction
    """Seconds per time stamp unit."""
    origin: int
    """Time stamp of the file's 0 s."""
    begin: int | None
    """Time stamp of the start of the stream, by its header; None where it has none."""
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    sample_rate: int = 0
    """Hz of the first audio frame, as decoded; 0 until it is."""
    channels: int = 0
    """Number of channels of the first audio frame, as decoded; 0 until it is."""
    size: tuple[int, int] | None = None
    """Displayed `(height, width)` of the frames of `video_decode`; None until the first one is decoded."""
    anchor: float | None = None
    """Time stamp reference of `video_decode` (ticks) or `audio_decode` (samples); None until set."""

    @property
    def first(self) -> int:
        """Time stamp of the start of the stream, by its header."""
        return self.origin if self.begin is None else max(self.begin, self.origin)

    @property
    def weight(self) -> int:
        """Share of `BUDGET`."""
        pixels = self.stream.width * self.stream.height if isinstance(self.stream, VideoStream) else 0
        return 1 + pixels // PIXELS

    def __enter__(self) -> Opened[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def seek(self, stamp: int) -> None:
        """Seek to the last key frame at or before a time stamp, or to the start."""
        try:
            self.container.seek(stamp, stream=self.stream)
        except FFmpegError:
            # Matroska without cues for this stream: by time, over all streams.
            self.container.seek(max(0, int(stamp * self.tick * av.time_base)))

    def rewind(self) -> None:
        """Seek to the start of the file, before the encoder delay (negative times are decoded too)."""
        self.seek(self.first - int(1 / self.tick))

    def packets(self) -> Iterator[Packet[S]]:
        """Remaining packets, up to the end or a truncation."""
        with suppress(FFmpegError):
            for packet in self.container.demux(self.stream):
                beat()
                yield packet


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert PyAV errors to a one-line `InputError` with the path."""
    try:
        yield
    except (FFmpegError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, FFmpegError) else str(error)
        raise InputError(f"{path}: expected video or sound, cannot be read: {reason}") from error


def open_container(path: Path, options: Mapping[str, str] = _NONE) -> InputContainer:
    """Open a media file with FFmpeg.

    Args:
        path: the file.
        options: of the container, beside those that keep it from opening others.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: no regular file, not video or audio, a list of other files (ffconcat, HLS, DASH), or truncated
            before its header.
    """
    check_regular(path, "video or sound")
    note_file(path)
    with reading(path):
        # `file:` keeps a colon in a name from being taken for a protocol; HMDB51 has tags that are not UTF-8.
        source: Any = open_regular(path, "video or sound") if is_virtual(path) else f"file:{path}"
        try:
            found = _OPTIONS | dict(options)
            container: InputContainer = av.open(source, metadata_errors="ignore", container_options=found)
        except (av.error.ArgumentError, av.error.InvalidDataError) as error:
            if _is_list(path):
                raise InputError(f"{path}: expected video or sound, got a list of other files") from error
            raise
    release_channel_maps(container)
    return container


def _is_list(path: Path) -> bool:
    with open_regular(path, "video or sound") as file:
        start = file.read(1024)
    return any(mark in start for mark in _LISTS)


def streams_of(container: InputContainer, kind: Literal["video", "audio"]) -> list[Any]:
    """Decodable streams of one kind, without cover art."""
    return [stream for stream in _tracks(container, kind) if stream.codec_context is not None]


def _tracks(container: InputContainer, kind: str) -> list[Any]:
    """Streams of one kind, decodable or not, without cover art and thumbnails."""
    return [each for each in container.streams if each.type == kind and not each.disposition & _PICTURES]


def film_index(streams: Sequence[Any]) -> int:
    """Index of the film among decodable video streams: the largest; a still picture only where there is no other."""

    def rank(index: int) -> tuple[bool, int]:
        context = streams[index].codec_context
        still = context.name in _STILL or bool(streams[index].disposition & Disposition.still_image)
        return not still, context.width * context.height

    return max(range(len(streams)), key=rank)


def warn_of_undecodable(path: Path, container: InputContainer, kind: Literal["video", "audio"], read: Any) -> None:
    """Log the streams that are passed over because FFmpeg has no decoder for them, once in a process.

    Args:
        path: the file, for the message.
        container: of it.
        kind: of the streams.
        read: the stream that is read instead.
    """
    for stream in _tracks(container, kind):
        if stream.codec_context is None:
            _warn_once(
                f"{path}: {kind} stream {stream.index} cannot be decoded (no decoder for it) and is passed over; "
                f"stream {read.index} ({read.codec_context.name}) is read"
            )


@lru_cache(maxsize=4096)
def _warn_once(message: str) -> None:
    logger.warning("%s", message)


class NoStreamError(InputError):
    """A file has no stream of a kind, decodable or not."""


def missing_stream(path: Path, container: InputContainer, kind: Literal["video", "audio"]) -> InputError:
    """The error for a file without a decodable stream of a kind."""
    expected, word = ("a video", "video") if kind == "video" else ("sound", "sound")
    if tracks := _tracks(container, kind):
        return InputError(f"{path}: expected {expected}, FFmpeg has no decoder for its {len(tracks)} {word} stream(s)")
    return InputError(f"{path}: expected {expected}, it has no {word} stream")


def open_stream(path: Path, kind: type[S], index: int | None = 0) -> Opened[S]:
    """Open one stream of a file.

    Args:
        path: any file that FFmpeg reads.
        kind: PyAV's class of video or audio streams.
        index: index among the decodable streams of this kind; None: the film, see `film_index`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: not video or audio, no such stream, or frames of absurd size.
    """
    container = open_container(path)
    try:
        stream = _chosen(path, container, kind, index)
        if isinstance(stream, VideoStream):
            _bound_frames(path, stream)
    except InputError:
        container.close()
        raise
    if isinstance(stream, AudioStream):
        declare_discrete(stream.codec_context)
    # Frame threads deadlock when a loop over frames is left early; loaders use the cores by processes.
    stream.codec_context.thread_count = 1
    tick = Fraction(stream.time_base or Fraction(1, av.time_base))
    # Negative times (encoder delay, cut by an edit list) are not played; a late first stream starts at 0.
    origin = max(0, container.start_time or 0) / (av.time_base * tick)
    return Opened(path, container, stream, tick, round(origin), stream.start_time)


def _chosen(path: Path, container: InputContainer, kind: type[S], index: int | None) -> S:
    """The decodable stream of an index."""
    name: Literal["video", "audio"] = "video" if kind is VideoStream else "audio"
    streams: list[S] = streams_of(container, name)
    if not streams and _tracks(container, name):
        raise missing_stream(path, container, name)
    number = film_index(streams) if streams and index is None else index or 0
    if not 0 <= number < len(streams):
        raise NoStreamError(f"{path}: expected {name} (stream {number}), it has {len(streams)} {name} streams")
    return streams[number]


def _bound_frames(path: Path, stream: VideoStream) -> None:
    """Refuse frames that are too large to decode, by the header and then by the bit stream."""
    context = stream.codec_context
    if context.width * context.height > LARGEST_FRAME:
        found = f"{context.width}x{context.height}"
        raise InputError(f"{path}: expected frames of at most {LARGEST_FRAME} pixels, the header says {found}")
    context.options = {"max_pixels": str(LARGEST_FRAME)}


@dataclass(frozen=True)
class _Probed:
    """What was found when a file was opened first, so that it is opened again by its header alone."""

    stream: int
    """Index in the container."""
    tick: Fraction
    origin: int
    begin: int | None

    @classmethod
    def of(cls, opened: Opened[Any]) -> _Probed | None:
        """Facts of an open file; None if FFmpeg has to probe it again."""
        complete = "matroska" in opened.container.format.name and opened.stream.codec_context.name in _COMPLETE
        return cls(opened.stream.index, opened.tick, opened.origin, opened.begin) if complete else None

    def open(self, path: Path) -> Opened[Any]:
        """Open the unchanged file again; see `open_stream`."""
        container = open_container(path, _UNPROBED)
        stream: Any = container.streams[self.stream]
        try:
            _bound_frames(path, stream)
        except InputError:
            container.close()
            raise
        stream.codec_context.thread_count = 1
        return Opened(path, container, stream, self.tick, self.origin, self.begin)


_probed: OrderedDict[tuple[object, ...], _Probed] = OrderedDict()
"""Of files that this process has opened, by their keys on the shelf."""


def _open_again(key: tuple[object, ...], path: Path, kind: type[S], index: int | None) -> Opened[S]:
    """Open a stream, the second time by what the first has found."""
    if found := _probed.get(key):
        return found.open(path)
    opened = open_stream(path, kind, index)
    if kind is VideoStream and (facts := _Probed.of(opened)):
        _probed[key] = facts
        while len(_probed) > _KNOWN:
            _probed.popitem(last=False)
    return opened


class _Shelf(threading.local):
    """Open containers of this thread and process, least recently used first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.held: OrderedDict[tuple[object, ...], tuple[Opened[Any], int]] = OrderedDict()
        """Container and its weight, which is not asked of FFmpeg again."""
        self.weight = 0

    def take(self, key: tuple[object, ...]) -> Opened[Any] | None:
        """Take a container off the shelf; None if it is not there."""
        opened, weight = self.held.pop(key, (None, 0))
        self.weight -= weight
        return opened

    def put(self, key: tuple[object, ...], opened: Opened[Any]) -> None:
        """Put a container on the shelf, and close those used least recently beyond the budget."""
        self.held[key] = opened, opened.weight
        self.weight += opened.weight
        while len(self.held) > 1 and self.weight > BUDGET:
            self.close_oldest()

    def close_oldest(self) -> None:
        """Close the container used least recently."""
        opened, weight = self.held.popitem(last=False)[1]
        self.weight -= weight
        opened.container.close()


_shelf = _Shelf()


def borrow(path: Path, kind: type[S], index: int | None = 0) -> Opened[S]:
    """Return a cached open stream if the file is unchanged, else open it; see `open_stream`."""
    note_file(path)
    if _shelf.process != os.getpid():
        # A forked process shares file positions with its parent: start with an empty cache.
        _shelf.__init__()  # type: ignore[misc]
    status = check_regular(path, "video or sound") if is_virtual(path) or path.is_file() else None
    key = (str(path), kind, index, status and (status.st_ino, status.st_size, status.st_mtime_ns))
    opened = _shelf.take(key) or _open_again(key, path, kind, index)
    _shelf.put(key, opened)
    return opened


def close_all() -> None:
    """Close all containers cached by this thread."""
    while _shelf.held:
        _shelf.close_oldest()
