"""Display orientation of frames: the header's rotation and mirroring, as players apply them."""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame


class Orientation(NamedTuple):
    """Steps from a stored to a displayed frame."""

    mirrored: bool = False
    """Exchange left and right, first."""
    turns: int = 0
    """Quarter turns counter-clockwise, after mirroring."""

    @property
    def swaps_sides(self) -> bool:
        """Whether a displayed row was a stored column."""
        return self.turns % 2 == 1

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Displayed image of a stored one, `(height, width, 3)`, contiguous."""
        if self == Orientation():
            return image
        return np.ascontiguousarray(np.rot90(image[:, ::-1] if self.mirrored else image, self.turns))


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Orientation of a decoded frame by its display matrix, from the container or the bit stream."""
    found: Any = frame.side_data  # typed as a mapping of names, iterates over entries
    matrix = next((bytes(data) for data in found if data.type == Type.DISPLAYMATRIX), b"")
    return matrix_orientation(*struct.unpack("<2i4x2i", matrix[:20])) if len(matrix) >= 20 else Orientation()


def matrix_orientation(a: int, b: int, c: int, d: int) -> Orientation:
    """Orientation nearest to a display matrix.

    Args:
        a: displayed x per stored x; only ratios matter.
        b: displayed y per stored x; y is down.
        c: displayed x per stored y.
        d: displayed y per stored y.

    Returns:
        Mirroring and quarter turns; none for a matrix that is not invertible.
    """
    determinant = a * d - b * c
    if not determinant:
        return Orientation()
    mirrored = determinant < 0
    # Without the mirroring, stored x points along (a, b); a positive angle is clockwise, as y is down.
    angle = math.atan2(-b, -a) if mirrored else math.atan2(b, a)
    return Orientation(mirrored, -round(angle / (math.pi / 2)) % 4)
