"""Decoded frames in the cache folder: read once by the decoder, then in place from files that processes share."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from av.codec.context import CodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from avssl.errors import InputError, OutputError, one_line
from avssl.io.atomic import replacing
from avssl.io.cache_folder import cache_folder, writable_cache
from avssl.io.folder_lock import file_lock
from avssl.media.container_cache import Opened, open_stream
from avssl.media.frame_orientation import Orientation, frame_orientation
from avssl.media.frame_size import displayed_size
from avssl.media.video_decode import decode_packets, read_frames, rgb_image, settle, time_stamps, unstamped
from avssl.regular_files import check_regular

logger = logging.getLogger(__name__)
FOLDER = "frames"
"""Of the cache folder; a folder in it for each set of videos."""
GRANT = "bytes.json"
"""File in such a folder: bytes that its videos may take."""
UNUSED = 900.0
"""Seconds after its last use in which a folder is kept even if another set of videos needs its room."""
MARK_EVERY = 60.0
"""Seconds between two notes of its use by a process."""
FREE_SHARE = 0.5
"""At most this share of the free space on the disk is granted."""
MAGIC = b"avssl frames 1\n"
"""End of a file of frames."""
UNSPECIFIED, LEFT = CHROMA = "unspecified", "left"
"""Positions of the chroma samples, which change how colours are interpolated: of new frames, and of H.264's."""
_HEAD = 16384
"""Bytes of a file beside its frames, at most, for a few minutes of frames."""
_PIXEL_BYTES = 1.5
"""Bytes of a pixel in yuv420p."""


class _CannotBeStoredError(Exception):
    """The frames of a video are decoded at every read."""


_refused: set[Path] = set()
"""Files of frames that cannot be written, in this process."""
_marked: dict[Path, float] = {}
"""Folders and the time, by `time.monotonic`, at which this process last noted their use."""
_taken: set[Path] = set()
"""Folders whose room was taken while this process read from them."""


class _Colours(threading.local):
    """Colour conversion of planes in this thread."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()
        self.blanks: dict[tuple[int, int, str], tuple[VideoFrame, list[np.ndarray]]] = {}

    def convert(self, frame: VideoFrame) -> np.ndarray:
        """RGB `(height, width, 3)`, as `read_frames` converts."""
        return rgb_image(self.reformatter, frame, frame.width, frame.height)

    def image(self, planes: np.ndarray, colorspace: int, color_range: int, chroma: str) -> np.ndarray:
        """RGB `(height, width, 3)` of planes `(height * 3 / 2, width)` with a position of their chroma samples."""
        size = planes.shape[0] * 2 // 3, planes.shape[1], chroma
        if size not in self.blanks:
            frame = _blank(*size)
            self.blanks[size] = frame, _pixels(frame)
        (frame, targets), begin = self.blanks[size], 0
        for target in targets:
            target[:] = planes.reshape(-1)[begin : begin + target.size].reshape(target.shape)
            begin += target.size
        frame.colorspace, frame.color_range = colorspace, color_range
        return self.convert(frame)


def _pixels(frame: VideoFrame) -> list[np.ndarray]:
    """Writable planes of a frame, without the padding of their rows."""
    rows = [frame.height // scale for scale in (1, 2, 2)]
    whole = [
        np.frombuffer(memoryview(plane), np.uint8).reshape(each, -1)
        for plane, each in zip(frame.planes, rows, strict=True)
    ]
    return [plane[:, : frame.width // scale] for plane, scale in zip(whole, (1, 2, 2), strict=True)]


def _blank(height: int, width: int, chroma: str) -> VideoFrame:
    """A frame with a position of its chroma samples; PyAV cannot set it: it is left in what a H.264 decoder gives."""
    if chroma == UNSPECIFIED:
        return VideoFrame(width, height, "yuv420p")
    encoder = CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuv420p", Fraction(1, 25)
    encoder.options = {"preset": "ultrafast"}
    packets = [*encoder.encode(VideoFrame(width, height, "yuv420p")), *encoder.encode(None)]
    decoder = CodecContext.create("h264", "r")
    frame: VideoFrame = next(each for packet in [*packets, None] for each in decoder.decode(packet))
    frame.make_writable()
    return frame


_colours = _Colours()


@dataclass(frozen=True)
class FrameStore:
    """Frames of some videos, decoded once; other videos, and those that cannot be stored, are decoded at every read.

    Stored are the planes that the decoder gives (yuv420p, 8 bits); colours are converted when frames are read, by the
    same conversion: pixels are those of `read_frames`. Videos of other pixel formats, turned or with rectangular
    pixels, and those whose packets and frames do not match, are not stored.
    """

    folder: Path
    """Folder of the stored videos."""
    videos: frozenset[str]
    """Videos that there is room for."""

    def read(self, path: Path, times: Sequence[float]) -> Tensor:
        """Read the frame at or before each time; see `video_decode.read_frames`.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: see there.
        """
        if str(path) not in self.videos:
            return read_frames(path, times)
        status = check_regular(path, "a video")
        target = _target(self.folder, path, status.st_size, status.st_mtime_ns)
        if target not in _refused:
            _mark_use(self.folder)
            try:
                return _stored(target, _changed(path, target)).frames(times)
            except _CannotBeStoredError:
                _refused.add(target)
            except FileNotFoundError:
                _warn_of_taken_room(self.folder)
        return read_frames(path, times)


@dataclass(frozen=True)
class _Stored:
    """Frames of one video in a file; named as `container_cache.Opened` where that has the same."""

    path: Path
    """Of the video, for errors."""
    target: Path
    height: int
    width: int
    tick: Fraction
    origin: int
    first: int
    stamps: np.ndarray
    """Time stamps of the frames, ascending, int64."""
    colorspace: int
    color_range: int
    chroma: str
    """Position of the chroma samples, among `CHROMA`."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the planes of all frames."""
        return len(self.stamps), self.height * 3 // 2, self.width

    def frames(self, times: Sequence[float]) -> Tensor:
        """As `read_frames`."""
        stamps = time_stamps(self, times)
        indices = np.maximum(self.stamps.searchsorted(stamps, "right") - 1, 0).tolist()
        with self.target.open("rb", buffering=0) as file:
            images = {index: self._image(file, index) for index in set(indices)}
        found = [images[index] for index in indices]
        return torch.from_numpy(found[0][None] if len(found) == 1 else np.stack(found)).permute(0, 3, 1, 2)

    def _image(self, file: IO[bytes], index: int) -> np.ndarray:
        planes = np.empty(self.shape[1:], np.uint8)
        file.seek(index * planes.size)
        if file.readinto(planes) != planes.size:  # type: ignore[attr-defined]
            raise _CannotBeStoredError
        return _colours.image(planes, self.colorspace, self.color_range, self.chroma)


def frame_store(videos: Iterable[tuple[Path, float]], limit: float) -> FrameStore | None:
    """Store of the decoded frames of videos, in the order given as far as there is room.

    All stores together take at most `limit` bytes. A store stays for the next training; another that needs its room
    takes it if nothing was read from it for a quarter of an hour, longest unused first.

    Args:
        videos: path, and pixels of all frames together; videos that come again are counted once.
        limit: bytes.

    Returns:
        The store; None if there is no room.
    """
    sizes = {str(path): _HEAD + pixels * _PIXEL_BYTES for path, pixels in videos}
    if limit <= 0 or not sizes:
        return None
    base = writable_cache(cache_folder() / FOLDER)
    own = base / sha256("\n".join(sorted(sizes)).encode()).hexdigest()[:32]
    with file_lock(base / "grants", wait=True):
        room = _granted(base, own, sum(sizes.values()), limit)
    total = np.cumsum(list(sizes.values()))
    kept = frozenset(list(sizes)[: int(np.searchsorted(total, room, "right"))])
    if not kept:
        return None
    size = total[len(kept) - 1] / 1e9
    logger.info(
        "%s: decoded frames of %d of %d videos are kept here, %.1f GB in all (data.decoded_gb)",
        own, len(kept), len(sizes), size,
    )  # fmt: skip
    return FrameStore(own, kept)


def _granted(base: Path, own: Path, wanted: float, limit: float) -> float:
    """Bytes that the videos of a folder may take; those of folders that were not used for long are removed for it."""
    others = {folder: _grant(folder) for folder in base.iterdir() if folder.is_dir() and folder != own}
    taken = sum(others.values())
    for folder in sorted(others, key=_last_use):
        if taken + wanted > limit and time.time() - _last_use(folder) > UNUSED:
            shutil.rmtree(folder, ignore_errors=True)
            taken -= others[folder]
    free = FREE_SHARE * shutil.disk_usage(base).free
    room = max(min(wanted, limit - taken, free + _grant(own)), 0.0)
    own.mkdir(exist_ok=True)
    (own / GRANT).write_text(json.dumps({"bytes": int(room)}), encoding="utf-8")
    return room


def _grant(folder: Path) -> float:
    try:
        return float(json.loads((folder / GRANT).read_text(encoding="utf-8"))["bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _last_use(folder: Path) -> float:
    try:
        return (folder / GRANT).stat().st_mtime
    except OSError:
        return 0.0


def _mark_use(folder: Path) -> None:
    """Note that this process reads from a folder, at most every `MARK_EVERY` seconds."""
    now = time.monotonic()
    if now - _marked.get(folder, -math.inf) > MARK_EVERY:
        _marked[folder] = now
        with contextlib.suppress(OSError):
            os.utime(folder / GRANT)


def _warn_of_taken_room(folder: Path) -> None:
    """Log once that another command has taken the room of a folder."""
    if folder not in _taken:
        _taken.add(folder)
        logger.warning("%s: another training has taken this room: frames are decoded at every read", folder)


@lru_cache(maxsize=8192)
def _target(folder: Path, path: Path, size: int, changed: int) -> Path:
    """File of a video's frames: a video that changes gets another."""
    name = sha256(f"{path.absolute()}\n{size}\n{changed}".encode()).hexdigest()[:32]
    return folder / f"{name}.frames"


def _changed(path: Path, target: Path) -> int:
    """Time of the file of a video's frames, in ns; it is written unless it is there.

    Raises:
        FileNotFoundError: another command has taken the room.
        _CannotBeStoredError: it cannot be written, or the video cannot be stored.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return target.stat().st_mtime_ns
    if not target.parent.exists():
        raise FileNotFoundError(target.parent)
    try:
        with replacing(target) as part, part.open("wb") as file, open_stream(path, VideoStream, None) as opened:
            for data in _contents(settle(opened)):
                file.write(data)
    except (OutputError, OSError) as error:
        logger.warning("%s: frames are decoded at every read: %s", path, one_line(error))
        raise _CannotBeStoredError from error
    except InputError as error:
        raise _CannotBeStoredError from error
    return target.stat().st_mtime_ns


def _contents(opened: Opened[VideoStream]) -> Iterator[bytes]:
    """Bytes of the file of a video's frames: the planes of each frame, then the header, its length and `MAGIC`."""
    opened.rewind()
    packets = list(opened.packets())
    stamps = sorted({each.pts for each in packets if each.pts is not None and not each.is_discard})
    head: dict[str, Any] = {}
    fitting, count = list(CHROMA), 0
    for frame in decode_packets(opened, packets, None):
        found = _properties(opened, frame)
        head = head or found
        if found != head or count == len(stamps) or frame.pts != stamps[count]:
            raise _CannotBeStoredError
        planes, count = frame.to_ndarray(), count + 1
        if len(fitting) > 1 or count == 1:  # until a frame tells them apart
            colours = head["colorspace"], head["color_range"]
            expected = _colours.convert(frame)
            fitting = [each for each in fitting if np.array_equal(_colours.image(planes, *colours, each), expected)]
        yield planes.tobytes()
    if not count or count != len(stamps) or not fitting or unstamped(opened):
        raise _CannotBeStoredError
    times = {"tick": [opened.tick.numerator, opened.tick.denominator], "origin": opened.origin, "first": opened.first}
    yield from _trailer({"path": str(opened.path), **times, "stamps": stamps, **head, "chroma": fitting[0]})


def _properties(opened: Opened[VideoStream], frame: VideoFrame) -> dict[str, int]:
    """Size and colours of a frame that is shown as it is stored, in the one pixel format that is stored."""
    orientation = frame_orientation(frame)
    shown = displayed_size(opened.path, opened.stream, frame, orientation) == (frame.height, frame.width)
    whole = not (frame.width % 2 or frame.height % 2)
    if not (frame.format.name == "yuv420p" and orientation == Orientation() and whole and shown):
        raise _CannotBeStoredError
    colours = {"colorspace": int(frame.colorspace), "color_range": int(frame.color_range)}
    return {"height": frame.height, "width": frame.width, **colours}


def _trailer(fields: dict[str, Any]) -> Iterator[bytes]:
    text = json.dumps(fields).encode()
    yield text + len(text).to_bytes(8, "little") + MAGIC


@lru_cache(maxsize=8192)
def _stored(target: Path, changed: int) -> _Stored:
    """Description of a file of frames.

    Raises:
        _CannotBeStoredError: it is not whole.
    """
    with target.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8 - len(MAGIC)))
        end = file.read()
        length = int.from_bytes(end[:8], "little")
        frames = size - len(end) - length
        if end[8:] != MAGIC or frames < 0:
            raise _CannotBeStoredError
        file.seek(frames)
        fields: dict[str, Any] = json.loads(file.read(length))
    fields |= {
        "tick": Fraction(*fields["tick"]),
        "stamps": np.array(fields["stamps"], np.int64),
        "path": Path(fields["path"]),
    }
    stored = _Stored(target=target, **fields)
    if frames != math.prod(stored.shape):
        raise _CannotBeStoredError
    return stored
