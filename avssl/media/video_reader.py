"""Sequential reader of the frames of a whole file with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.errors import InputError
from avssl.media.container_cache import NoStreamError, Opened, open_stream, reading, streams_of, warn_of_undecodable
from avssl.media.frame_orientation import frame_orientation
from avssl.media.frame_size import displayed_size
from avssl.media.probe import video_header
from avssl.media.projection_header import declared_projection
from avssl.media.stream_timeline import (
    Timeline,
    agreed_length,
    check_frame_times,
    measure_timeline,
    plausible_rate,
)
from avssl.media.video_decode import iterate_frames, zero_time


class VideoReader:
    """Film of a file: its largest video stream, without cover art and still images.

    Args:
        path: any file that FFmpeg reads.

    Raises:
        InputError: it cannot be read, has no video, or frames or pixels of absurd size.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            opened_film = open_stream(path, VideoStream, None)
        except NoStreamError as error:
            raise InputError(f"{path}: expected a video, it has no video stream") from error
        with reading(path), opened_film as opened:
            videos = streams_of(opened.container, "video")
            self.stream = videos.index(opened.stream)
            warn_of_undecodable(path, opened.container, "video", opened.stream)
            self._header = video_header(opened.stream)
            first = next(_frames(opened), None)
            if first is None:
                raise InputError(f"{path}: expected a video, its {self._header.codec} stream has no decodable frames")
            self.orientation = orientation = frame_orientation(first)
            """Display rotation and mirroring of the header, as frames are turned."""
            self.size = displayed_size(path, opened.stream, first, orientation)
            """Height and width of displayed frames: upright, with square pixels."""
            self.projection, self.stereo = declared_projection(path, opened.stream, first)
        sides = first.height, first.width
        self.height, self.width = sides[::-1] if orientation.swaps_sides else sides
        """Stored pixels, upright."""
        aspect = first.width / first.height * self._header.aspect
        self.aspect = 1 / aspect if orientation.swaps_sides else aspect
        """Width of displayed frames over their height, before rounding."""
        self.codec = self._header.codec
        """FFmpeg's name."""
        self.seconds, self.stated = self._header.seconds, self._header.stated
        """Seconds by the header, and whether it states them for this stream alone; see `VideoStreamInfo`."""

    @cached_property
    def timeline(self) -> Timeline:
        """Time line by the time stamps of all frames, read once.

        Raises:
            InputError: broken time stamps, see `measure_timeline` and `check_frame_times`.
        """
        with reading(self.path), open_stream(self.path, VideoStream, self.stream) as opened:
            zero = zero_time(opened)
            timeline = measure_timeline(self.path, opened.packets(), opened.tick, zero)
        return check_frame_times(self.path, timeline)

    @property
    def frame_rate(self) -> float:
        """Frames per second, by the header unless the frames contradict it; 0 if unknown."""
        return plausible_rate(self._header.frame_rate, self.timeline.rate)

    def length(self) -> float:
        """Seconds from the start of the file to the end of the last frame, from packets, not the header."""
        return self.timeline.seconds

    @property
    def duration(self) -> float:
        """As `length`, by the header where packets agree with it, which is more exact."""
        return agreed_length(self.seconds, self.timeline.seconds)

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """Displayed frame at each time, scaled to `(height, width)`; see `iterate_frames`."""
        return iterate_frames(self.path, times, size, self.stream)


def _frames(opened: Opened[VideoStream]) -> Iterator[VideoFrame]:
    """Every decodable frame."""
    for packet in opened.packets():
        with suppress(FFmpegError):
            yield from packet.decode()
