"""Bounding boxes on the sphere: conversion from frames and views, overlap, and merging.

A box is a bounding field of view: azimuth and elevation of its centre, and width and height in radians that an
upright camera in that direction must cover. It means the same at the seam, at the poles and in front.
"""

# N boxes, M objects, P points of a box

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from avssl.spatial.ambisonics import rotation

Floats = NDArray[np.float64]

POINTS = 32
"""Points on the ellipse inscribed in a box, from which its angles are measured: objects rarely fill the corners."""
GRID = 16
"""Sample points per side of a box for areas of intersections, accurate to a few percent."""
MERGE_IOU = 0.5
"""Least intersection over union of two boxes of one object."""
MERGE_CONTAINMENT = 0.5
"""Least fraction of a truncated box inside another box of the same object."""


def from_frame(edges: ArrayLike) -> Floats:
    """Convert boxes of an equirectangular frame to boxes on the sphere.

    Args:
        edges: `(N, 4)` left, top, right and bottom in 0..1 of the frame; above 1 it wraps around.

    Returns:
        `(N, 4)` azimuth, elevation, width, height.
    """
    x, y, right, down = _ellipse(np.asarray(edges, np.float64).reshape(-1, 4))
    centre = np.stack([(1 - 2 * x) * np.pi, (0.5 - y) * np.pi], 1)
    azimuth, elevation = (1 - 2 * right) * np.pi, (0.5 - down) * np.pi
    return _bounding_boxes(centre, _vectors(azimuth, elevation))


def from_view(edges: ArrayLike, side: int, azimuth: float, elevation: float, fov: float) -> Floats:
    """Convert boxes of a square perspective view to boxes on the sphere.

    Args:
        edges: `(N, 4)` left, top, right and bottom in pixels.
        side: pixels; side of the view.
        azimuth: radians; of the view direction.
        elevation: radians; of the view direction.
        fov: radians; field of view.

    Returns:
        `(N, 4)` azimuth, elevation, width, height.
    """
    # Centres are means of angles, not of pixels: perspective stretches towards the edge.
    half = np.tan(fov / 2)
    angles = np.arctan(half * (2 * np.asarray(edges, np.float64).reshape(-1, 4) / side - 1))
    x, y, right, down = _ellipse(angles)
    pose = _poses(np.array([[azimuth, elevation]]))[0]
    ray = _view_rays(np.tan(x), np.tan(y)) @ pose.T
    horizontal = np.hypot(ray[:, 0], ray[:, 1])
    centre = np.stack([np.arctan2(ray[:, 1], ray[:, 0]), np.arctan2(ray[:, 2], horizontal)], 1)
    return _bounding_boxes(centre, _view_rays(np.tan(right), np.tan(down)) @ pose.T)


def outline(box: ArrayLike, points: int = 64) -> Floats:
    """Azimuth and elevation `(points + 1, 2)` along the edge of a box `(4,)`, closed."""
    azimuth, elevation, width, height = np.asarray(box, np.float64)
    steps = np.linspace(-1, 1, points // 4, endpoint=False)
    across = np.concatenate([steps, np.ones_like(steps), -steps, -np.ones_like(steps), [-1]])
    up = np.concatenate([-np.ones_like(steps), steps, np.ones_like(steps), -steps, [-1]])
    rays = _vectors(across * width / 2, up * height / 2) @ _poses(np.array([[azimuth, elevation]]))[0].T
    return np.stack([np.arctan2(rays[:, 1], rays[:, 0]), np.arcsin(np.clip(rays[:, 2], -1, 1))], 1)


def overlaps(boxes: Floats) -> tuple[Floats, Floats]:
    """Intersection over union, and fraction of each box inside each other box, both `(N, N)`."""
    area = boxes[:, 2] * 2 * np.sin(boxes[:, 3] / 2)
    contained = np.stack([_inside(_grid(boxes), box).mean(1) for box in boxes], 1) if len(boxes) else np.zeros((0, 0))
    # The intersection is estimated from the sample points of both boxes.
    shared = (contained * area[:, None] + contained.T * area[None, :]) / 2
    return shared / (area[:, None] + area[None, :] - shared), shared / area[:, None]


def merge(boxes: Floats, scores: NDArray[np.float32], truncated: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Merge detections of several views to one box an object, regardless of class (non-maximum suppression).

    Args:
        boxes: `(N, 4)` azimuth, elevation, width, height.
        scores: `(N,)`.
        truncated: `(N,)` whether the box ends at the edge of its view, so that the object may continue.

    Returns:
        Indices `(M,)` of the remaining boxes, highest score first.
    """
    iou, contained = overlaps(boxes)
    same = (iou >= MERGE_IOU) | (truncated[:, None] & (contained >= MERGE_CONTAINMENT))
    kept: list[int] = []
    # Whole objects first: a truncated box yields to a whole one, regardless of scores.
    for each in np.lexsort((-scores, truncated)).tolist():
        if not same[each, kept].any():
            kept.append(each)
    indices = np.array(kept, np.int64)
    return indices[np.argsort(-scores[indices], kind="stable")]


def _ellipse(edges: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Centres `(N,)` of boxes, and points `(N, P)` on their inscribed ellipses."""
    left, top, right, bottom = edges.T
    angle = 2 * np.pi * np.arange(POINTS) / POINTS
    x, y = (left + right) / 2, (top + bottom) / 2
    across = x[:, None] + (right - left)[:, None] / 2 * np.cos(angle)
    return x, y, across, y[:, None] + (bottom - top)[:, None] / 2 * np.sin(angle)


def _bounding_boxes(centre: Floats, rays: Floats) -> Floats:
    """Bounding boxes `(N, 4)` of rays `(N, P, 3)`, around directions `(N, 2)`."""
    forward, left, up = np.moveaxis(rays @ _poses(centre), -1, 0)
    across, rise = np.arctan2(left, forward), np.arcsin(np.clip(up / np.linalg.norm(rays, axis=-1), -1, 1))
    azimuth = (centre[:, 0] + np.pi) % (2 * np.pi) - np.pi
    return np.stack([azimuth, centre[:, 1], np.ptp(across, axis=1), np.ptp(rise, axis=1)], 1)


def _grid(boxes: Floats) -> Floats:
    """Unit vectors `(N, P, 3)` to points of equal area in boxes."""
    steps = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    across = steps[None, :] * boxes[:, 2, None] / 2
    up = np.arcsin(np.clip(steps[None, :] * np.sin(boxes[:, 3, None] / 2), -1, 1))
    shape = (len(boxes), GRID, GRID)
    rays = _vectors(np.broadcast_to(across[:, None], shape), np.broadcast_to(up[:, :, None], shape))
    return rays.reshape(len(boxes), -1, 3) @ _poses(boxes[:, :2]).swapaxes(1, 2)


def _inside(rays: Floats, box: Floats) -> NDArray[np.bool_]:
    """Whether unit vectors `(..., 3)` lie in a box `(4,)`."""
    forward, left, up = np.moveaxis(rays @ _poses(box[None, :2])[0], -1, 0)
    across = np.abs(np.arctan2(left, forward)) <= box[2] / 2
    return np.asarray(across & (np.abs(up) <= np.sin(min(box[3], np.pi) / 2)))


def _poses(directions: Floats) -> Floats:
    """Camera poses `(N, 3, 3)` in directions `(N, 2)`: front, left and up as columns."""
    angles = torch.from_numpy(np.ascontiguousarray(directions, np.float64))
    return np.asarray(rotation(angles[:, 0], angles[:, 1]).numpy(), np.float64)


def _vectors(azimuth: Floats, elevation: Floats) -> Floats:
    horizontal = np.cos(elevation)
    return np.stack([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)], -1)


def _view_rays(right: Floats, down: Floats) -> Floats:
    """Rays through points of the image plane at distance 1."""
    return np.stack([np.ones_like(right), -right, -down], -1)
