"""What a camera inside a 360-degree frame sees: equirectangular to perspective, in any direction, at any roll.

A view is a camera pose `rotation(azimuth, elevation, roll)`: the middle of the picture shows the direction (azimuth,
elevation), and a positive roll lifts the camera's left side. Sound turned by the transpose of that matrix
(`rotation_to_front` when roll is 0) has the middle of the picture in front. Frames and views are sampled at pixel
centres, (i + 1/2) / width.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.ambisonics import Angle, direction, rotation

_GROUP = 4
"""Planes in one remap: OpenCV's vector code is fastest on four channels, whatever they are."""


def crop(
    frames: Tensor,
    directions: Tensor,
    fov: Tensor | float,
    size: int | tuple[int, int],
    roll: Tensor | float = 0.0,
    aspect: Tensor | float | None = None,
) -> Tensor:
    """Views of some frames in some directions; sub-pixel, bilinear, whole at the ±180° seam and at the poles.

    A view that is much coarser than the frame aliases: shrink the frame first.

    Args:
        frames: uint8 `(time, 3, height, width)`, equirectangular, on the CPU.
        directions: `(views, 2)`, azimuth and elevation.
        fov: horizontal field of view, `(views,)` or one for all; in (0, pi).
        size: height and width of a view in pixels, or the side of a square.
        roll: `(views,)` or one for all.
        aspect: tangent of half the vertical over that of half the horizontal field of view; None: square pixels.

    Returns:
        uint8 `(views, time, 3, height, width)`.

    Raises:
        ValueError: frames of another type or shape, or a field of view that no camera has.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(f"frames are uint8 (time, 3, height, width), these are {frames.dtype} {tuple(frames.shape)}")
    height, width = _pair(size)
    azimuth, elevation = np.asarray(directions, np.float32).reshape(-1, 2).T
    maps = viewport_map(height, width, frames.shape[-2], frames.shape[-1], azimuth, elevation, roll, fov, aspect)
    planes = frames.flatten(0, 1).numpy()
    views = np.empty((len(azimuth), len(planes), height, width), np.uint8)
    # One set of buffers for all groups: fresh pages cost as much as the work.
    merged = np.empty((*frames.shape[-2:], _GROUP), np.uint8)
    padded = np.empty((frames.shape[-2] + 2, frames.shape[-1] + 2, _GROUP), np.uint8)
    seen = np.empty((len(azimuth) * height, width, _GROUP), np.uint8)
    for start in range(0, len(planes), _GROUP):
        group = list(planes[start : start + _GROUP])
        cv2.merge(group + group[:1] * (_GROUP - len(group)), merged)
        cv2.remap(wrap(merged, padded), *maps, cv2.INTER_LINEAR, seen)
        for place, plane in zip(range(start, start + len(group)), cv2.split(seen), strict=False):
            views[:, place] = plane.reshape(-1, height, width)
    return torch.from_numpy(views.reshape(-1, *frames.shape[:2], height, width))


def viewport_map(
    height: int,
    width: int,
    frame_height: int,
    frame_width: int,
    azimuth: ArrayLike,
    elevation: ArrayLike,
    roll: ArrayLike = 0.0,
    fov: ArrayLike = np.pi / 2,
    aspect: ArrayLike | None = None,
) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Fixed-point maps for `cv2.remap` from a frame that `wrap` has padded to one view, or to several.

    Args:
        height: of a view, pixels.
        width: of a view, pixels.
        frame_height: of the frame, without padding.
        frame_width: of the frame, without padding.
        azimuth: `(views,)` or a number.
        elevation: likewise.
        roll: likewise.
        fov: horizontal field of view, 2 atan(half width of the picture at distance 1); likewise.
        aspect: tangent of half the vertical over that of half the horizontal field of view; None: square pixels.

    Returns:
        Integer part `(views * height, width, 2)` and fraction `(views * height, width)`, the views below one another.

    Raises:
        ValueError: a field of view outside (0, pi).
    """
    x, y, z = _rays(height, width, azimuth, elevation, roll, fov, aspect).reshape(3, -1, width)
    column = np.arctan2(y, x)
    column *= np.float32(-frame_width / (2 * np.pi))
    column += np.float32(frame_width / 2 + 0.5)
    row = np.arctan2(z, np.sqrt(x * x + y * y))
    row *= np.float32(-frame_height / np.pi)
    row += np.float32(frame_height / 2 + 0.5)
    maps: tuple[Any, Any] = cv2.convertMaps(column, row, cv2.CV_16SC2)
    return maps


def wrap(frame: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Pad an equirectangular frame by what lies one pixel beyond each edge of the world.

    Beyond the seam comes the other end of the row; beyond a pole comes the same row, half a turn away.

    Args:
        frame: `(height, width, channels)`, up to 4 channels. An odd width is half a pixel off across the poles.
        out: memory for the result.

    Returns:
        `(height + 2, width + 2, channels)`.
    """
    height, width, channels = frame.shape
    padded: NDArray[Any] = cv2.copyMakeBorder(frame, 1, 1, 1, 1, cv2.BORDER_WRAP, out)
    padded = padded.reshape(height + 2, width + 2, channels)  # OpenCV drops the axis of a single channel.
    half = width // 2
    for edge, inner in ((padded[0], padded[1]), (padded[-1], padded[-2])):
        edge[1 : half + 1] = inner[-half - 1 : -1]
        edge[half + 1 : -1] = inner[1 : -half - 1]
        edge[0], edge[-1] = edge[-2], edge[1]
    return padded


def project(
    azimuth: Angle,
    elevation: Angle,
    centre: tuple[float, float],
    fov: float,
    size: int | tuple[int, int],
    roll: float = 0.0,
    aspect: float | None = None,
) -> Tensor:
    """Where a direction appears in a view.

    Args:
        azimuth: of what is looked for, `(...)` or a number.
        elevation: likewise.
        centre: azimuth and elevation of the view.
        fov: horizontal field of view.
        size: height and width of the view in pixels, or the side of a square.
        roll: of the view.
        aspect: as in `crop`.

    Returns:
        `(..., 2)`, x to the right and y down in pixels from the upper left corner, outside the picture too; the middle
        of the first pixel is (1/2, 1/2). Nan for what lies behind the camera.
    """
    height, width = _pair(size)
    across, down = _tangents(height, width, fov, aspect)
    towards = direction(azimuth, elevation)
    forward, left, up = (towards @ rotation(*centre, roll).to(towards)).unbind(-1)
    forward = forward.where(forward > 0, torch.nan)
    right, below = -left / (forward * float(across)), -up / (forward * float(down))
    return torch.stack([(right + 1) / 2 * width, (below + 1) / 2 * height], -1)


def _rays(
    height: int,
    width: int,
    azimuth: ArrayLike,
    elevation: ArrayLike,
    roll: ArrayLike,
    fov: ArrayLike,
    aspect: ArrayLike | None,
) -> NDArray[np.float32]:
    """World vectors, of any length, through the pixel centres: `(3, views, height, width)` along x, y, z."""
    pose = rotation(*(torch.from_numpy(np.array(angle, np.float32, ndmin=1)) for angle in (azimuth, elevation, roll)))
    forward, left, up = pose.permute(2, 1, 0).contiguous().numpy()[..., None, None]
    across, down = (np.reshape(tangent, (-1, 1, 1)) for tangent in _tangents(height, width, fov, aspect))
    to_left = across * (width - 1 - 2 * np.arange(width)) / width
    to_top = down * (height - 1 - 2 * np.arange(height)[:, None]) / height
    rays: NDArray[np.float32] = (forward + up * to_top.astype(np.float32)) + left * to_left.astype(np.float32)
    return rays


def _tangents(height: int, width: int, fov: ArrayLike, aspect: ArrayLike | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Half width and half height of the picture at distance 1."""
    angle = np.asarray(fov, np.float64)
    if not ((angle > 0) & (angle < np.pi)).all():
        raise InputError(f"a field of view lies between 0 and pi radians, not {fov!r}")
    across = np.tan(angle / 2)
    return across, across * (height / width if aspect is None else np.asarray(aspect, np.float64))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
