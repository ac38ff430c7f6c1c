"""Random-access frame decoding, from the key frame before the first requested time to the last."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from torch import Tensor

from avssl.errors import InputError
from avssl.media.container_cache import Opened, borrow, open_stream, reading
from avssl.media.frame_orientation import frame_orientation
from avssl.media.frame_size import displayed_size
from avssl.media.jpeg_frames import jpeg_frames

BACK = (0.0, 1.0, 4.0, 16.0, 64.0, math.inf)
"""Seconds to step back when a key frame is too late or undecodable."""
REORDER = 4
"""Frames buffered to sort time stamps."""
EXACT = Interpolation.BILINEAR | 0x40000 | 0x2000
"""With SWS_ACCURATE_RND and SWS_FULL_CHR_H_INT: without them pixels are 1 to 2 of 255 too dark."""
LAST_STAMP = 1 << 62
"""Time stamps have 64 bits; a later time is past every end."""
SLACK = 1e-6
"""Rounding tolerance in seconds between requested times and time stamps."""


def read_frames(
    path: Path | str, times: Sequence[float], size: tuple[int, int] | None = None, stream: int | None = None
) -> Tensor:
    """Read the frame at or before each time, by frame time stamps, turned and mirrored as its header says.

    Times before the first frame return the first, past the end the last. The file stays open for the next call.

    Args:
        path: any video that FFmpeg reads.
        times: seconds from the file's beginning, ascending.
        size: `(height, width)` to scale displayed frames to; None: their own, upright with square pixels.
        stream: index among the decodable video streams, without cover art; None: the film, see `film_index`.

    Returns:
        uint8 RGB `(len(times), 3, height, width)`, colour innermost in memory.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: not a video, no such stream, no frame could be decoded, or `times` is empty or descends.
    """
    path = Path(path)
    if size is None and stream is None and (packed := jpeg_frames(path)):
        return packed.images(time_stamps(packed, times))
    with reading(path):
        opened = settle(borrow(path, VideoStream, stream))
        stamps = time_stamps(opened, times)
        for back in BACK:
            earlier = stamps[0] - back / opened.tick
            opened.rewind() if earlier < opened.first else opened.seek(int(earlier))
            frames = list(_shown(*_planned(opened, stamps)))
            if frames and (_stamp(frames[0]) <= stamps[0] or earlier < opened.first):
                return torch.from_numpy(_frames(opened, frames, size)).permute(0, 3, 1, 2)
            if earlier < opened.first:
                break
    raise InputError(f"{path}: no frame of it can be decoded")


def iterate_frames(
    path: Path | str, times: Sequence[float], size: tuple[int, int] | None = None, stream: int | None = None
) -> Iterator[np.ndarray]:
    """Yield the frames of `read_frames` one by one, for long videos and many times.

    Yields:
        uint8 RGB `(height, width, 3)`.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: not a video, no such stream, no frame could be decoded, or `times` is empty or descends.
    """
    path = Path(path)
    with reading(path), open_stream(path, VideoStream, stream) as opened:
        settle(opened)
        stamps = time_stamps(opened, times)
        if stamps[0] > opened.first + int(BACK[1] / opened.tick):
            opened.seek(stamps[0])
        shown = _shown(decode_packets(opened, opened.packets(), None), stamps)
        first = next(shown, None)
        if first is None or _stamp(first) > stamps[0]:
            opened.rewind()
            shown = _shown(decode_packets(opened, opened.packets(), None), stamps)
            first = next(shown, None)
        if first is None:
            raise InputError(f"{path}: no frame of it can be decoded")
        yield _image(opened, first, size)
        for frame in shown:
            yield _image(opened, frame, size)


def zero_time(opened: Opened[VideoStream]) -> float:
    """Packet time in seconds that corresponds to 0 s of the video; the stream stands at its start then."""
    if unstamped(opened):
        settle(opened).rewind()
    return float(opened.origin * opened.tick)


class Timeline(Protocol):
    """Time stamps of a video; see `container_cache.Opened`."""

    @property
    def path(self) -> Path:
        """Of the video."""
        ...

    @property
    def tick(self) -> Fraction:
        """Seconds per time stamp unit."""
        ...

    @property
    def origin(self) -> int:
        """Time stamp of 0 s."""
        ...

    @property
    def first(self) -> int:
        """Time stamp of the start of the stream."""
        ...


def time_stamps(opened: Timeline, times: Sequence[float]) -> list[int]:
    """Convert times to time stamps, clamped to the first frame."""
    if not len(times) or any(later < earlier for earlier, later in pairwise(times)):
        raise InputError(f"{opened.path}: expected instants in ascending order, got {list(times)[:4]}")
    if not (math.isfinite(times[0]) and math.isfinite(times[-1])):
        raise InputError(f"{opened.path}: expected finite instants, got {times[0]} to {times[-1]} s")
    ticks = (opened.origin + math.floor((time + SLACK) / opened.tick) for time in times)
    return [min(max(opened.first, stamp), LAST_STAMP) for stamp in ticks]


def _planned(opened: Opened[VideoStream], stamps: list[int]) -> tuple[Iterator[VideoFrame], list[int]]:
    """Candidate frames, and exact target time stamps where packets have them before decoding."""
    packets: list[Packet[VideoStream]] = []
    for packet in opened.packets():
        packets.append(packet)
        # No frame is shown before its packet's decoding time stamp.
        if packet.dts is not None and packet.dts > stamps[-1]:
            break
    known = sorted({p.pts for p in packets if p.pts is not None and not p.is_discard})
    if unstamped(opened) or any(packet.pts is None and packet.size for packet in packets) or not known:
        return decode_packets(opened, chain(packets, opened.packets()), None), stamps
    wanted = [known[max(0, int(np.searchsorted(known, stamp, "right")) - 1)] for stamp in stamps]
    return decode_packets(opened, packets, set(wanted)), wanted


def decode_packets(
    opened: Opened[VideoStream], packets: Iterable[Packet[VideoStream]], wanted: set[int] | None
) -> Iterator[VideoFrame]:
    """Frames in display order; unwanted non-reference frames are not decoded."""
    frames = _as_decoded(opened, packets, wanted)
    return _restamped(frames) if unstamped(opened) else frames


def _as_decoded(
    opened: Opened[VideoStream], packets: Iterable[Packet[VideoStream]], wanted: set[int] | None
) -> Iterator[VideoFrame]:
    context = opened.stream.codec_context
    for packet in chain(packets, [None]):
        needless = wanted is not None and packet is not None and packet.pts not in wanted
        context.skip_frame = "NONREF" if needless else "DEFAULT"
        try:
            yield from (frame for frame in context.decode(packet) if frame.pts is not None)
        except EOFError:
            return
        except FFmpegError:
            continue  # skip a broken packet


def unstamped(opened: Opened[VideoStream]) -> bool:
    """AVI has no presentation times; FFmpeg's are out of order with packed B-frames (Xvid, DivX)."""
    return opened.container.format.name == "avi"


def _restamped(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Reassign the time stamps in ascending order within a window of `REORDER` frames."""
    waiting: deque[VideoFrame] = deque()
    stamps: list[int] = []
    for frame in chain(frames, [None] * REORDER):
        if frame is not None:
            waiting.append(frame)
            heappush(stamps, _stamp(frame))
        if waiting and (frame is None or len(waiting) > REORDER):
            shown = waiting.popleft()
            shown.pts = heappop(stamps)
            yield shown


def settle(opened: Opened[VideoStream]) -> Opened[VideoStream]:
    """Set the first frame to 0 s for containers without presentation times."""
    if unstamped(opened) and opened.anchor is None:
        opened.rewind()
        stamps = [_stamp(frame) for frame in islice(decode_packets(opened, opened.packets(), None), 2)] or [0]
        # Xvid fills its delay with an empty packet after the first frame, which would last two frames.
        lag = stamps[-1] - stamps[0] == 2 and opened.stream.codec_context.name == "mpeg4"
        opened.anchor = opened.origin = stamps[0] + lag
    return opened


def _shown(frames: Iterator[VideoFrame], stamps: list[int]) -> Iterator[VideoFrame]:
    """Last frame at or before each time stamp, else the first frame."""
    held: VideoFrame | None = None
    index = 0
    for frame in frames:
        while index < len(stamps) and stamps[index] <= _stamp(frame):
            yield frame if held is None or stamps[index] == frame.pts else held
            index += 1
        if index == len(stamps):
            return
        held = frame
    if held is not None:
        yield from (held for _ in stamps[index:])


def _stamp(frame: VideoFrame) -> int:
    assert frame.pts is not None
    return frame.pts


def _frames(opened: Opened[VideoStream], frames: list[VideoFrame], size: tuple[int, int] | None) -> np.ndarray:
    images = {frame.pts: _image(opened, frame, size) for frame in frames}
    return np.stack([images[frame.pts] for frame in frames])


def _image(opened: Opened[VideoStream], frame: VideoFrame, size: tuple[int, int] | None) -> np.ndarray:
    orientation = frame_orientation(frame)
    if size is None and opened.size is None:
        # Once: the frame size may change within a stream.
        opened.size = displayed_size(opened.path, opened.stream, frame, orientation)
    wanted = size or opened.size
    assert wanted is not None
    height, width = wanted[::-1] if orientation.swaps_sides else wanted
    return orientation.apply(rgb_image(opened.reformatter, frame, width, height))


def rgb_image(reformatter: VideoReformatter, frame: VideoFrame, width: int, height: int) -> np.ndarray:
    """Convert a decoded frame to RGB `(height, width, 3)`, uint8.

    Args:
        reformatter: of this thread.
        frame: in any pixel format.
        width: pixels of the result.
        height: pixels of the result.
    """
    if frame.format.name != "yuv420p" or (frame.width, frame.height) != (width, height):
        return reformatter.reformat(frame, width, height, "rgb24", interpolation=EXACT, threads=1).to_ndarray()
    # The same pixels in half the time: FFmpeg's conversion to planes is vectorised, that to interleaved colours is not.
    planes = reformatter.reformat(frame, width, height, "gbrp", interpolation=EXACT, threads=1).planes
    green, blue, red = (np.frombuffer(memoryview(each), np.uint8).reshape(height, -1)[:, :width] for each in planes)
    image: np.ndarray = cv2.merge([red, green, blue])
    return image
