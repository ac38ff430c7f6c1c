"""Compositing on a flat canvas: square images at any position and size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.pinhole import Camera
from avssl.synth.projection.tangent_plane import blend
from avssl.synth.scene_format import Format
from avssl.synth.video_render import OVERSAMPLING

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Canvas(Format):
    """How a scene on a canvas is written down."""

    width: int = 320
    height: int = 180
    """Rows of a frame."""

    def lens(self) -> Camera:
        """Lens for drawing backgrounds; objects are placed without a lens."""
        return Camera(self.width, self.height, np.pi / 2)


class Spot(NamedTuple):
    """Where a square picture lies."""

    x: float
    """Horizontal position of the centre, pixels from the left edge."""
    y: float
    """Pixels from the top edge."""
    side: float
    """Pixels."""
    roll: float = 0.0
    """Radians, counter-clockwise."""


class Layer(NamedTuple):
    """The part of a picture that falls on the canvas."""

    rows: slice
    columns: slice
    pixels: Image
    """uint8 `(rows, columns, 4)`, colour multiplied by alpha."""


def lay(image: Image, spot: Spot, size: tuple[int, int]) -> Layer | None:
    """Region of a canvas of `(height, width)` that an image covers; None where it covers nothing.

    Args:
        image: uint8 `(side, side, 4)`, colour multiplied by alpha; what a roll turns out of the square is lost.
        spot: where it lies; pixel centres are at halves.
        size: of the canvas.
    """
    half = spot.side / 2
    rows, columns = _span(spot.y - half, spot.y + half, size[0]), _span(spot.x - half, spot.x + half, size[1])
    if spot.side < 1 or rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    image = _fitting(image, spot.side)
    scale = image.shape[0] / spot.side
    cosine, sine = scale * np.cos(spot.roll), scale * np.sin(spot.roll)
    right, down = columns.start + 0.5 - spot.x, rows.start + 0.5 - spot.y
    middle = image.shape[0] / 2 - 0.5
    inverse = np.array(
        [
            [cosine, -sine, cosine * right - sine * down + middle],
            [sine, cosine, sine * right + cosine * down + middle],
        ]
    )
    shape = columns.stop - columns.start, rows.stop - rows.start
    pixels = cv2.warpAffine(image, inverse, shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return Layer(rows, columns, np.asarray(pixels, np.uint8))


def paste(frame: Image, image: Image, spot: Spot, light: float = 1.0) -> None:
    """Lay a picture over a frame, in place.

    Args:
        frame: uint8 `(height, width, 3)`.
        image: as in `lay`.
        spot: position and size on the canvas.
        light: multiplies the colours.
    """
    piece = lay(image, spot, (frame.shape[0], frame.shape[1]))
    if piece is not None:
        colour = np.minimum(piece.pixels[..., :3] * np.float32(light), 255)
        blend(frame[piece.rows, piece.columns], colour, 1 - piece.pixels[..., 3:] * np.float32(1 / 255))


def _span(begin: float, end: float, size: int) -> slice:
    """Whole pixels of a side that a segment of it touches."""
    return slice(max(0, int(np.floor(begin))), min(size, int(np.ceil(end))))


def _fitting(image: Image, side: float) -> Image:
    """The picture at about the size it is seen at, averaged, so that it does not alias."""
    wanted = max(2, round(OVERSAMPLING * side))
    if wanted >= image.shape[0]:
        return image
    return np.asarray(cv2.resize(image, (wanted, wanted), interpolation=cv2.INTER_AREA), np.uint8)
