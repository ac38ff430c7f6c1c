"""Perspective views (viewports) of equirectangular frames, in any direction, at any roll.

A view is a camera pose `rotation(azimuth, elevation, roll)`: the image centre shows the direction (azimuth,
elevation), and a positive roll lifts the camera's left side. A sound field rotated by the transpose of that matrix
(`rotation_to_front` when roll is 0) has the image centre in front. Frames and views are sampled at pixel centres,
(i + 1/2) / width.
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

Maps = tuple[NDArray[np.int16], NDArray[np.uint16]]
_GROUP = 4
"""Image planes per remap: OpenCV's vectorised code is fastest on four channels."""


def crop(
    frames: Tensor,
    directions: Tensor,
    fov: Tensor | float,
    size: int | tuple[int, int],
    roll: Tensor | float = 0.0,
    aspect: Tensor | float | None = None,
) -> Tensor:
    """Crop perspective views of frames; sub-pixel, bilinear, seamless at ±180° and at the poles.

    A view with much lower resolution than the frame aliases: downscale the frame first.

    Args:
        frames: uint8 `(time, 3, height, width)`, equirectangular, on the CPU.
        directions: `(views, 2)`, azimuth and elevation, radians.
        fov: radians; horizontal field of view, `(views,)` or one for all; in (0, pi).
        size: height and width of a view in pixels, or the side of a square.
        roll: radians; `(views,)` or one for all.
        aspect: tangent of half the vertical over that of half the horizontal field of view; None: square pixels.

    Returns:
        uint8 `(views, time, 3, height, width)`.

    Raises:
        ValueError: frames of another type or shape, or a field of view outside (0, pi).
    """
    azimuth, elevation = np.asarray(directions, np.float32).reshape(-1, 2).T
    return crop_poses(frames, _poses(azimuth, elevation, roll), fov, size, aspect)


def crop_poses(
    frames: Tensor,
    poses: Tensor,
    fov: Tensor | float,
    size: int | tuple[int, int],
    aspect: Tensor | float | None = None,
) -> Tensor:
    """Crop views of given camera poses; see `crop`.

    Args:
        frames: as in `crop`.
        poses: `(views, 3, 3)`, axes front, left, up of each camera as columns; a negated left axis mirrors the view.
        fov: as in `crop`.
        size: as in `crop`.
        aspect: as in `crop`.

    Returns:
        uint8 `(views, time, 3, height, width)`.

    Raises:
        ValueError: as in `crop`.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(f"expected frames uint8 (time, 3, height, width), got {frames.dtype} {tuple(frames.shape)}")
    height, width = _pair(size)
    maps = _pose_map(height, width, frames.shape[-2], frames.shape[-1], poses, fov, aspect)
    return remap_frames(frames, maps, height)


def remap_frames(frames: Tensor, maps: Maps, height: int) -> Tensor:
    """Crop the views of given maps, for views that many clips share; see `crop`.

    Args:
        frames: as in `crop`.
        maps: from `viewport_map`.
        height: pixels; of a view.

    Returns:
        uint8 `(views, time, 3, height, width)`.
    """
    if frames.stride(1) == 1:
        return torch.from_numpy(_remap_images(frames.permute(0, 2, 3, 1).numpy(), maps, height))
    views = _remap_planes(frames.flatten(0, 1).numpy(), maps, height)
    return torch.from_numpy(views.reshape(-1, *frames.shape[:2], height, maps[1].shape[1]))


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
) -> Maps:
    """Fixed-point maps for `cv2.remap` from a frame padded by `wrap` to one or several views.

    Args:
        height: pixels; of a view.
        width: pixels; of a view.
        frame_height: pixels; of the frame, without padding.
        frame_width: pixels; of the frame, without padding.
        azimuth: radians; `(views,)` or a number.
        elevation: radians; `(views,)` or a number.
        roll: radians; `(views,)` or a number.
        fov: radians; horizontal field of view, 2 atan(half image width at distance 1), `(views,)` or a number.
        aspect: tangent of half the vertical over that of half the horizontal field of view; None: square pixels.

    Returns:
        Integer part `(views * height, width, 2)` and fraction `(views * height, width)`, views stacked vertically.

    Raises:
        ValueError: a field of view outside (0, pi).
    """
    return _pose_map(height, width, frame_height, frame_width, _poses(azimuth, elevation, roll), fov, aspect)


def _pose_map(
    height: int,
    width: int,
    frame_height: int,
    frame_width: int,
    poses: Tensor,
    fov: ArrayLike,
    aspect: ArrayLike | None,
) -> Maps:
    """Maps of `viewport_map` for poses `(views, 3, 3)`."""
    x, y, z = _rays(height, width, poses, fov, aspect).reshape(3, -1, width)
    column = np.arctan2(y, x)
    column *= np.float32(-frame_width / (2 * np.pi))
    column += np.float32(frame_width / 2 + 0.5)
    row = np.arctan2(z, np.sqrt(x * x + y * y))
    row *= np.float32(-frame_height / np.pi)
    row += np.float32(frame_height / 2 + 0.5)
    maps: tuple[Any, Any] = cv2.convertMaps(column, row, cv2.CV_16SC2)
    return maps


def wrap(frame: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Pad an equirectangular frame by one pixel, continuing across the seam and the poles.

    Across the seam the other end of the row follows; across a pole the same row, shifted by 180 degrees.

    Args:
        frame: `(height, width, channels)`, up to 4 channels. Odd widths are half a pixel off across the poles.
        out: buffer for the result.

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
    """Project a direction into a view.

    Args:
        azimuth: radians; `(...)` or a number.
        elevation: radians; `(...)` or a number.
        centre: radians; azimuth and elevation of the view.
        fov: radians; horizontal field of view.
        size: height and width of the view in pixels, or the side of a square.
        roll: radians; of the view.
        aspect: as in `crop`.

    Returns:
        `(..., 2)`, x to the right and y down in pixels from the upper left corner, also outside the image; the centre
        of the first pixel is (1/2, 1/2). Nan behind the camera.
    """
    height, width = _pair(size)
    tan_x, tan_y = _tangents(height, width, fov, aspect)
    vector = direction(azimuth, elevation)
    forward, left, up = (vector @ rotation(*centre, roll).to(vector)).unbind(-1)
    forward = forward.where(forward > 0, torch.nan)
    right, below = -left / (forward * float(tan_x)), -up / (forward * float(tan_y))
    return torch.stack([(right + 1) / 2 * width, (below + 1) / 2 * height], -1)


def _remap_images(images: NDArray[np.uint8], maps: Maps, height: int) -> NDArray[np.uint8]:
    """Views `(views, time, 3, height, width)` of images `(time, rows, columns, 3)`, as they come from a decoder."""
    rows, width = maps[1].shape
    views = np.empty((rows // height, len(images), 3, height, width), np.uint8)
    remapped, padded = np.empty((rows, width, 3), np.uint8), None
    for index, image in enumerate(images):
        padded = wrap(image, padded)
        cv2.remap(padded, *maps, cv2.INTER_LINEAR, remapped)
        for colour, plane in enumerate(cv2.split(remapped)):
            views[:, index, colour] = plane.reshape(-1, height, width)
    return views


def _remap_planes(planes: NDArray[np.uint8], maps: Maps, height: int) -> NDArray[np.uint8]:
    """Views `(views, planes, height, width)` of planes `(planes, rows, columns)`."""
    rows, width = maps[1].shape
    frame = planes.shape[1:]
    views = np.empty((rows // height, len(planes), height, width), np.uint8)
    # Buffers are shared by all groups: allocating new ones takes as long as the remap.
    merged = np.empty((*frame, _GROUP), np.uint8)
    padded = np.empty((frame[0] + 2, frame[1] + 2, _GROUP), np.uint8)
    remapped = np.empty((rows, width, _GROUP), np.uint8)
    for start in range(0, len(planes), _GROUP):
        group = list(planes[start : start + _GROUP])
        cv2.merge(group + group[:1] * (_GROUP - len(group)), merged)
        cv2.remap(wrap(merged, padded), *maps, cv2.INTER_LINEAR, remapped)
        for index, plane in zip(range(start, start + len(group)), cv2.split(remapped), strict=False):
            views[:, index] = plane.reshape(-1, height, width)
    return views


def _poses(azimuth: ArrayLike, elevation: ArrayLike, roll: ArrayLike) -> Tensor:
    """Poses `(views, 3, 3)` of angles in radians, each `(views,)` or a number."""
    return rotation(*(torch.from_numpy(np.array(angle, np.float32, ndmin=1)) for angle in (azimuth, elevation, roll)))


def _rays(height: int, width: int, poses: Tensor, fov: ArrayLike, aspect: ArrayLike | None) -> NDArray[np.float32]:
    """Rays through the pixel centres, not normalised: `(3, views, height, width)` along x, y, z."""
    forward, left, up = poses.permute(2, 1, 0).float().numpy()[..., None, None]
    tan_x, tan_y = (np.reshape(tangent, (-1, 1, 1)) for tangent in _tangents(height, width, fov, aspect))
    offset_left = tan_x * (width - 1 - 2 * np.arange(width)) / width
    offset_up = tan_y * (height - 1 - 2 * np.arange(height)[:, None]) / height
    rays: NDArray[np.float32] = (forward + up * offset_up.astype(np.float32)) + left * offset_left.astype(np.float32)
    return rays


def _tangents(height: int, width: int, fov: ArrayLike, aspect: ArrayLike | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Half width and half height of the image at distance 1."""
    angle = np.asarray(fov, np.float64)
    if not ((angle > 0) & (angle < np.pi)).all():
        raise InputError(f"expected a field of view between 0 and pi radians, got {fov!r}")
    tan_x = np.tan(angle / 2)
    return tan_x, tan_x * (height / width if aspect is None else np.asarray(aspect, np.float64))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
