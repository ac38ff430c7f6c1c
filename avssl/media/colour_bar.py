"""Colour bar with its values and a title, drawn into the frames of an overlay."""

from __future__ import annotations

import cv2
import numpy as np

from avssl.media.overlay_video import Image, colours

TICKS = (0.0, 0.5, 1.0)
LEFT, TOP, WIDTH = 0.36, 0.84, 0.28
"""Left edge, upper edge and width of the bar, as fractions of the frame: below the front, above the nadir."""
THICKNESS = 1 / 40
"""Height of the bar, as a fraction of that of the frame."""
FONT, FONT_PIXELS = cv2.FONT_HERSHEY_SIMPLEX, 22
"""Font, and height of its letters at scale 1, pixels."""
SMALLEST = 6
"""Height of letters in pixels below which there is no text, since it cannot be read."""

EDGES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Offsets of the dark edge of letters, pixels."""


class ColourBar:
    """Bar from 0 to 1 in the colours of an overlay, drawn in place.

    Args:
        title: above the bar: quantity and unit.
        size: height and width of the frames, pixels.
    """

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        height, width = size
        self._left, self._top = round(LEFT * width), round(TOP * height)
        across, down = max(2, round(WIDTH * width)), max(1, round(THICKNESS * height))
        self._bar: Image = np.repeat(colours(np.linspace(0, 1, across)[None]), down, 0)
        self._letters = 1.1 * down
        self._title = title

    def draw(self, frame: Image) -> Image:
        """The frame `(height, width, 3)`, RGB, changed in place."""
        down, across = self._bar.shape[:2]
        frame[self._top : self._top + down, self._left : self._left + across] = self._bar
        if self._letters >= SMALLEST:
            self._write(frame, self._title, 0.5, self._top - round(0.6 * down))
            for tick in TICKS:
                self._write(frame, f"{tick:g}", tick, self._top + round(2.4 * down))
        return frame

    def _write(self, frame: Image, text: str, place: float, baseline: int) -> None:
        """White letters with a dark edge, centred at a fraction of the bar."""
        scale = self._letters / FONT_PIXELS
        (width, _), _ = cv2.getTextSize(text, FONT, scale, 1)
        left = round(self._left + place * self._bar.shape[1] - width / 2)
        for right, down in EDGES:  # a thicker line would make the letters wider
            cv2.putText(frame, text, (left + right, baseline + down), FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(frame, text, (left, baseline), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
