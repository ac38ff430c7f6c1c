"""Tangent-plane projection of flat images onto the sphere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.trajectories import unit_vector

Floats = NDArray[np.float64]


def tangent_basis(azimuth: Floats, elevation: Floats, roll: Floats) -> Floats:
    """Tangent planes at given directions.

    Args:
        azimuth: `(...)`, radians.
        elevation: `(...)`, radians.
        roll: `(...)`, radians by which a picture is turned in its plane, counter-clockwise.

    Returns:
        Unit vectors to the picture's right, up and forward `(..., 3, 3)`.
    """
    right = np.stack([np.sin(azimuth), -np.cos(azimuth), np.zeros_like(azimuth)], -1)
    forward = unit_vector(azimuth, elevation)
    up = np.cross(right, forward)
    cosine, sine = np.cos(roll)[..., None], np.sin(roll)[..., None]
    return np.stack([cosine * right + sine * up, cosine * up - sine * right, forward], -2)


def stamp(
    frame: NDArray[np.uint8], image: NDArray[np.uint8], basis: Floats, tangent: float, light: float = 1.0
) -> None:
    """Lay a picture over an equirectangular frame, in place; right at the seam and at the poles.

    Args:
        frame: uint8 `(height, width, 3)`.
        image: uint8 `(side, side, 4)`, colour multiplied by alpha, nothing outside its inscribed circle.
        basis: from `tangent_basis`.
        tangent: tangent of the angular radius of that circle.
        light: multiplies the colours.
    """
    height, width = frame.shape[:2]
    rows, columns = _reach(basis[2], np.arctan(tangent), height, width)
    across, down = _where(basis, rows, columns, (height, width), image.shape[0] / 2 / tangent)
    colour, kept = look_up(image, across, down, light)
    for begin in range(columns.start // width * width, columns.stop, width):
        left, right = max(columns.start, begin), min(columns.stop, begin + width)
        part = slice(left - columns.start, right - columns.start)
        place = frame[rows.start : rows.stop, left - begin : right - begin]
        blend(place, colour[:, part], kept[:, part])


def look_up(
    image: NDArray[np.uint8], across: NDArray[np.float32], down: NDArray[np.float32], light: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values of an image at given positions.

    Args:
        image: as in `stamp`.
        across: pixels to the right of its middle, `(height, width)`.
        down: pixels above its centre.
        light: multiplies the colours.

    Returns:
        Colour, multiplied by alpha, `(height, width, 3)`, and the share of what lies behind `(height, width, 1)`.
    """
    offset = np.float32(image.shape[0] / 2 - 0.5)
    seen = cv2.remap(image, across + offset, offset - down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    colour = np.minimum(seen[..., :3] * np.float32(light), 255)
    return colour, 1 - seen[..., 3:] * np.float32(1 / 255)


def blend(place: NDArray[np.uint8], colour: NDArray[np.float32], kept: NDArray[np.float32]) -> None:
    """Lay what `look_up` found over a part of a frame, in place."""
    place[:] = (place * kept + colour + 0.5).astype(np.uint8)


def _reach(forward: Floats, radius: float, height: int, width: int) -> tuple[range, range]:
    """Rows, and columns (not wrapped) that a cap may touch."""
    elevation, azimuth = np.arcsin(np.clip(forward[2], -1, 1)), np.arctan2(forward[1], forward[0])
    top = max(0, int((0.5 - (elevation + radius) / np.pi) * height))
    bottom = min(height, int((0.5 - (elevation - radius) / np.pi) * height) + 1)
    if abs(elevation) + radius >= np.pi / 2 - 1e-3:
        return range(top, bottom), range(width)
    half = np.arcsin(np.sin(radius) / np.cos(elevation)) / (2 * np.pi) * width
    centre = (0.5 - azimuth / (2 * np.pi)) * width
    left, right = int(np.floor(centre - half)) - 1, int(np.ceil(centre + half)) + 1
    return range(top, bottom), range(left, min(right, left + width))


def _where(
    basis: Floats, rows: range, columns: range, size: tuple[int, int], scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the pixels fall in the tangent plane, right and up, in units of 1/scale; far away if behind it."""
    elevation = ((0.5 - (np.arange(rows.start, rows.stop) + 0.5) / size[0]) * np.pi)[:, None]
    azimuth = ((0.5 - (np.arange(columns.start, columns.stop) + 0.5) / size[1]) * 2 * np.pi)[None]
    flat, high = np.cos(elevation).astype(np.float32), np.sin(elevation).astype(np.float32)
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    right, up, forward = (flat * (x * cosine + y * sine).astype(np.float32) + high * np.float32(z) for x, y, z in basis)
    inverse = np.where(forward > 0.05, np.float32(scale) / np.maximum(forward, 0.05), np.float32(1e6))
    return right * inverse, up * inverse
