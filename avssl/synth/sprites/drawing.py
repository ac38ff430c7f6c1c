"""Drawing on a small square canvas: shapes in unit coordinates, x right, y up, the object inside the unit circle."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""RGB colour, 0..1."""
SIDE = 192
"""Side of the canvas in pixels; it spans -1..1."""
_SHIFT = 4


class Brush:
    """Paints shapes on a transparent canvas and remembers where the body colour went."""

    def __init__(self, body: Colour, trim: Colour, dark: Colour, aspect: float) -> None:
        """Start with an empty canvas.

        Args:
            body: of the main parts; these take the texture.
            trim: of the second parts.
            dark: of lines and holes.
            aspect: widths are multiplied by this, heights are not.
        """
        self.body, self.trim, self.dark = body, trim, dark
        self.aspect = aspect
        self.colour = np.zeros((SIDE, SIDE, 3), np.float32)
        self.alpha = np.zeros((SIDE, SIDE), np.uint8)
        self.textured = np.zeros((SIDE, SIDE), np.uint8)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        corners = np.array([self._pixel(x, y) for x, y in points])
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, _SHIFT)
        self._lay(mask, colour)

    def ellipse(
        self, x: float, y: float, width: float, height: float, colour: Colour, start: float = 0, end: float = 360
    ) -> None:
        """Fill an ellipse with half axes `width` and `height`, or its sector between two angles in degrees."""
        turn = np.radians(np.linspace(start, end, 48))
        edge = [(x + width * float(np.cos(a)), y + height * float(np.sin(a))) for a in turn]
        self.polygon(edge if end - start >= 360 else [(x, y), *edge], colour)

    def line(self, points: Sequence[tuple[float, float]], thickness: float, colour: Colour) -> None:
        """Draw a line through points."""
        mask = np.zeros((SIDE, SIDE), np.uint8)
        corners = np.array([self._pixel(x, y) for x, y in points])
        cv2.polylines(mask, [corners], False, 255, max(1, round(thickness * SIDE / 2)), cv2.LINE_AA, _SHIFT)
        self._lay(mask, colour)

    def box(self, left: float, bottom: float, right: float, top: float, colour: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], colour)

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        # OpenCV puts whole numbers at the centres of pixels.
        column, row = (self.aspect * x + 1) * SIDE / 2 - 0.5, (1 - y) * SIDE / 2 - 0.5
        return round(column * (1 << _SHIFT)), round(row * (1 << _SHIFT))

    def _lay(self, mask: NDArray[np.uint8], colour: Colour) -> None:
        cover = (mask.astype(np.float32) / 255)[..., None]
        self.colour += cover * (np.array(colour, np.float32) - self.colour)
        self.alpha = np.maximum(self.alpha, mask)
        self.textured = (
            np.maximum(self.textured, mask) if colour is self.body else np.minimum(self.textured, 255 - mask)
        )
