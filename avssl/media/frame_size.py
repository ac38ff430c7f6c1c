"""Size of displayed frames: upright, with square pixels."""

from __future__ import annotations

from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.errors import InputError
from avssl.media.frame_orientation import Orientation

WIDEST = 16.0
"""Maximum ratio of the sides of a pixel; anamorphic video stays below 4."""


def displayed_size(path: Path, stream: VideoStream, frame: VideoFrame, orientation: Orientation) -> tuple[int, int]:
    """Height and width of a frame as players show it; the height is kept where pixels are not square.

    Args:
        path: the file, for errors.
        stream: that the frame is of; the header has the pixel aspect ratio.
        frame: decoded.
        orientation: of the frame.

    Raises:
        InputError: an absurd pixel aspect ratio.
    """
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 1 / WIDEST <= aspect <= WIDEST:
        raise InputError(
            f"{path}: expected pixels of aspect ratio 1 to {WIDEST:g} or 1/{WIDEST:g}, the header says "
            f"{stream.sample_aspect_ratio}"
        )
    size = frame.height, max(1, round(frame.width * aspect))
    return size[::-1] if orientation.swaps_sides else size
