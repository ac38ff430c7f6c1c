"""Projection by the pixels: seam and poles of equirectangular frames, borders of cube faces, discs of fisheyes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.media.projection_check import is_near

HEIGHT, WIDTH = 240, 480
"""Pixels that frames are measured at, at most: enlarged ones have smooth neighbours, beside which every seam is one."""
SEAM, BORDER = 4.0, 3.0
"""Difference across a seam over that beside it: largest of a seam that closes, smallest of a border."""
POLE = 0.6
"""Spread along the rows of the poles over that of all rows, at most."""
DARK, BRIGHT = 12.0, 30.0
"""Brightness outside and inside of a fisheye lens's disc."""
TWINS = 0.85
"""Correlation of the frames of two eyes, at least."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class PictureEvidence:
    """Measurements of the frames of a video."""

    aspect: float
    """Width over height of displayed frames."""
    seam: float
    """Difference between the left and the right edge over that of neighbouring columns; near 1: they join."""
    poles: float
    """Spread of brightness along the top and bottom rows over that of all rows; 0: each pole is one point."""
    middle_row: float
    """Difference across the horizontal middle over that of neighbouring rows."""
    thirds: float
    """Difference across the vertical thirds over that of neighbouring columns, the larger of upper and lower half."""
    corners: float
    """Brightness outside of the discs of fisheye lenses, 0 to 255."""
    inside: float
    """Brightness along the rims of these discs, in the darkest quarter."""
    side_by_side: float
    """Correlation of the left and the right half."""
    top_bottom: float
    """Correlation of the upper and the lower half."""


def measure_picture(frames: list[NDArray[np.uint8]], aspect: float) -> PictureEvidence:
    """Medians of the measurements over frames.

    Args:
        frames: RGB `(height, width, 3)` of any size, from several times.
        aspect: of displayed frames.
    """
    found = np.array([_measure(each) for each in frames])
    return PictureEvidence(aspect, *(float(each) for each in np.median(found, 0)))


def recognise_projection(evidence: PictureEvidence) -> tuple[str, tuple[str, ...]]:
    """Projection that the measurements speak for, and why; empty if they do not decide.

    Returns:
        equirectangular, eac, cubemap, fisheye, vr180, stereo equirectangular or flat; and statements.
    """
    closes = evidence.seam < SEAM
    facts = {
        "edge": f"left and right edge {'join' if closes else 'do not join'} ({evidence.seam:.1f} of their neighbours)",
        "poles": f"spread along the poles {evidence.poles:.2f} of all rows",
        "faces": f"difference across the middle row {evidence.middle_row:.1f}, across the thirds {evidence.thirds:.1f}",
        "discs": f"corners {evidence.corners:.0f}, discs {evidence.inside:.0f} of 255",
        "eyes": f"correlation of halves {evidence.side_by_side:.2f} side by side, {evidence.top_bottom:.2f} above",
    }
    for name, applies, reasons in _rules(evidence, closes):
        if applies:
            return name, tuple(facts[each] for each in reasons)
    return "", (facts["edge"], facts["poles"])


def _rules(evidence: PictureEvidence, closes: bool) -> list[tuple[str, bool, tuple[str, ...]]]:
    aspect, poles = evidence.aspect, evidence.poles < POLE
    discs = evidence.corners < DARK and evidence.inside > BRIGHT
    wide = is_near(aspect, 16 / 9)
    faces = (is_near(aspect, 1.5) or wide) and evidence.middle_row > BORDER and not (closes and poles)
    return [
        ("fisheye", discs and (is_near(aspect, 2) or is_near(aspect, 1) or wide), ("discs",)),
        ("eac", faces and evidence.thirds < BORDER, ("faces",)),
        ("cubemap", faces or is_near(aspect, 6) or is_near(aspect, 1 / 6), ("faces",)),
        ("vr180", is_near(aspect, 2) and not closes and evidence.side_by_side > TWINS, ("eyes", "edge")),
        ("stereo equirectangular", is_near(aspect, 1) and evidence.top_bottom > TWINS and closes, ("eyes", "edge")),
        ("equirectangular", (is_near(aspect, 2) or wide) and closes and poles, ("edge", "poles")),
        ("flat", not closes, ("edge", "poles")),
    ]


def _measure(frame: NDArray[np.uint8]) -> tuple[float, ...]:
    height, width = min(HEIGHT, frame.shape[0]) // 2 * 2, min(WIDTH, frame.shape[1]) // 6 * 6
    image: Image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32).mean(-1)
    across = np.abs(np.diff(image, axis=1)).mean(0)
    down = np.abs(np.diff(image, axis=0)).mean(1)
    left, right = image[:, : width // 2], image[:, width // 2 :]
    upper, lower = image[: height // 2], image[height // 2 :]
    count, middle = _discs(frame), height // 2 - 1
    disc = cv2.resize(image, (HEIGHT * count, HEIGHT), interpolation=cv2.INTER_AREA)
    outside, rims = _disc_masks(count)
    return (
        float(np.abs(image[:, 0] - image[:, -1]).mean()) / _beside(across, (0, 1, -1, -2)),
        _pole_spread(image),
        float(down[middle]) / _beside(down, (middle - 3, middle - 2, middle + 2, middle + 3)),
        max(_thirds(upper), _thirds(lower)),
        float(disc[outside].mean()),
        min(float(disc[rim].mean()) for rim in rims),
        float(np.corrcoef(left.ravel(), right.ravel())[0, 1]) if image.std() else 0.0,
        float(np.corrcoef(upper.ravel(), lower.ravel())[0, 1]) if image.std() else 0.0,
    )


def _beside(differences: NDArray[np.float32], places: tuple[int, ...]) -> float:
    """Mean difference at some places, of which noise leaves at least a tenth of a level."""
    return max(0.1, float(differences[list(places)].mean()))


def _thirds(half: Image) -> float:
    across = np.abs(np.diff(half, axis=1)).mean(0)
    borders = (half.shape[1] // 3 - 1, 2 * half.shape[1] // 3 - 1)
    return max(float(across[at]) / _beside(across, (at - 4, at - 3, at + 3, at + 4)) for at in borders)


def _pole_spread(image: Image) -> float:
    """Spread along the rows next to the poles, the larger one, over the mean of all rows."""
    along = image.std(1)
    return float(min(along[:2].mean(), along[-2:].mean()) / max(1.0, along.mean()))


def _discs(frame: NDArray[np.uint8]) -> int:
    """One disc in a square frame, two side by side in a wide one."""
    return 1 if frame.shape[1] < 1.5 * frame.shape[0] else 2


def _disc_masks(count: int) -> tuple[NDArray[np.bool_], list[NDArray[np.bool_]]]:
    """Corners outside of discs side by side, and four quarters of a ring just inside."""
    row, column = np.mgrid[0.5:HEIGHT, 0.5 : count * HEIGHT]
    x, y = column % HEIGHT / HEIGHT * 2 - 1, row / HEIGHT * 2 - 1
    radius = np.hypot(x, y)
    ring, across = (radius > 0.8) & (radius < 0.95), np.abs(x) > np.abs(y)
    quarters = [ring & (across == flat) & ((x if flat else y) > 0) for flat in (False, True)]
    return radius > 1.2, [*quarters, *(ring & (across == flat) & ((x if flat else y) < 0) for flat in (False, True))]
