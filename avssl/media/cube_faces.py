"""Equirectangular frames of cube maps, plain or equi-angular (EAC), by FFmpeg's filter v360.

Faces lie as YouTube and the Spherical Video V2 RFC have them. EAC, 3x2: left, front, right, and below them bottom,
back, top, each turned so that the lower row is continuous too; two stored pixels around each row repeat its rim. Cube
maps, 3x2, 6x1 or 1x6: right, left, top, bottom, front, back, upright; or in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Protocol

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.format import VideoFormat

from avssl.errors import InputError, excerpt
from avssl.media.projection_check import FrameHeader, is_near

FACES = "rludfb"
"""Order of the faces of a cube map, row by row: right, left, up, down, front, back."""
CUBES = ("eac", "cubemap")
"""Projections that are converted."""
WIDE = 16 / 9
"""Aspect ratio at which YouTube stores 3x2 faces."""
_GRIDS = {"eac": {3 / 2: (3, 2), WIDE: (3, 2)}, "cubemap": {3 / 2: (3, 2), WIDE: (3, 2), 6.0: (6, 1), 1 / 6: (1, 6)}}
"""Aspect ratio -> columns and rows of faces."""
_FILTER = {(3, 2): "c3x2", (6, 1): "c6x1", (1, 6): "c1x6"}
FINEST = 8
"""Samples per pixel of the result and axis, at most; they are averaged, v360 takes points."""


class FaceFrames(FrameHeader, Protocol):
    """Reader of frames with cube faces."""

    def frames(self, times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        """Frames at ascending times, scaled to `(height, width)`."""


def check_faces(frames: FrameHeader, kind: str) -> tuple[int, int]:
    """Columns and rows of cube faces in monoscopic frames.

    Args:
        frames: reader with the header of the file.
        kind: one of `CUBES`.

    Raises:
        InputError: stereo by the header, or an aspect ratio that is not that of faces.
    """
    size = f"{frames.width}x{frames.height}"
    if frames.stereo:
        raise InputError(f"expected monoscopic frames of {kind} faces, the header says {frames.stereo} stereo ({size})")
    for aspect, grid in _GRIDS[kind].items():
        if is_near(frames.aspect, aspect):
            return grid
    shapes = "3x2 faces" if kind == "eac" else "3x2, 6x1 or 1x6 faces"
    raise InputError(f"expected frames of {shapes} ({kind}), these are {size}")


def check_order(faces: str) -> None:
    """Check the order of the faces of a cube map.

    Raises:
        InputError: not each of the six letters once.
    """
    if sorted(faces) != sorted(FACES):
        raise InputError(
            f"faces: expected each of r, l, u, d, f, b (right, left, up, down, front, back) once, such as {FACES}, "
            f"got {excerpt(faces, 40)!r}"
        )


def equirect_frames(
    frames: FaceFrames, kind: str, times: Sequence[float], size: tuple[int, int], faces: str = FACES
) -> Iterator[np.ndarray]:
    """Yield equirectangular frames of a video whose frames are cube faces.

    Args:
        frames: reader of them.
        kind: one of `CUBES`.
        times: seconds, ascending.
        size: `(height, width)` of the equirectangular frames, the width twice the height.
        faces: order of the faces of a cube map, see `FACES`.

    Yields:
        uint8 RGB `(height, width, 3)`, the front in the centre.

    Raises:
        InputError: see `check_faces` and `check_order`; a frame cannot be read.
    """
    check_order(faces)
    columns, rows = check_faces(frames, kind)
    finer = min(FINEST, max(1, round(2 * frames.height / rows / size[0])))  # a face spans half of the height
    stored = frames.height, frames.width  # not scaled: the repeated rim is counted in stored pixels
    layout = "eac" if kind == "eac" else f"{_FILTER[columns, rows]}:in_forder={faces}"
    graph = _graph(layout, stored, (finer * size[0], finer * size[1]))
    for index, image in enumerate(frames.frames(times, stored)):
        sphere = _converted(graph, image, index)
        yield cv2.resize(sphere, size[::-1], interpolation=cv2.INTER_AREA) if finer > 1 else sphere


def _graph(faces: str, stored: tuple[int, int], size: tuple[int, int]) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=stored[1], height=stored[0], format=VideoFormat("gbrp"), time_base=Fraction(1))
    sphere = graph.add("v360", f"input={faces}:output=e:interp=linear:w={size[1]}:h={size[0]}")
    sink = graph.add("buffersink")
    source.link_to(sphere)
    sphere.link_to(sink)
    graph.configure()
    return graph


def _converted(graph: Graph, image: np.ndarray, index: int) -> np.ndarray:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="gbrp")
    frame.pts = index
    graph.push(frame)
    found = graph.pull()
    assert isinstance(found, av.VideoFrame)
    return found.to_ndarray(format="rgb24")
