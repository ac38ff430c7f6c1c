"""Boxes on the sphere: what a camera would have to see to hold an object, and which boxes are the same object.

A box is a bounding field of view: azimuth and elevation of its centre, and the angles, width and height, that an
upright camera that looks there must see. So a box means the same at the seam, at the poles and in front.
"""

# N boxes, M objects, P points of a box

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from avssl.spatial.ambisonics import rotation

Floats = NDArray[np.float64]

POINTS = 32
"""On the ellipse inside a box, from which its angles are measured: an object fills no corners."""
GRID = 16
"""Points across a box at which it is looked up whether another covers it: shares are right to a few percent."""
SAME = 0.5
"""Least intersection over union of two boxes of one object."""
HELD = 0.5
"""Least share of a box cut off by its view's edge that lies in another box, if both are one object."""


def from_frame(edges: ArrayLike) -> Floats:
    """Boxes of an equirectangular frame as boxes on the sphere.

    Args:
        edges: `(N, 4)` left, top, right and bottom in 0..1 of the frame; beyond 1 the frame goes on at its left.

    Returns:
        `(N, 4)` azimuth, elevation, width, height.
    """
    x, y, right, down = _ellipse(np.asarray(edges, np.float64).reshape(-1, 4))
    centre = np.stack([(1 - 2 * x) * np.pi, (0.5 - y) * np.pi], 1)
    azimuth, elevation = (1 - 2 * right) * np.pi, (0.5 - down) * np.pi
    return _measured(centre, _vectors(azimuth, elevation))


def from_view(edges: ArrayLike, side: int, azimuth: float, elevation: float, fov: float) -> Floats:
    """Boxes of a square picture of a camera as boxes on the sphere.

    Args:
        edges: `(N, 4)` left, top, right and bottom in pixels.
        side: of the picture, pixels.
        azimuth: of its centre.
        elevation: likewise.
        fov: the field of view.

    Returns:
        `(N, 4)` azimuth, elevation, width, height.
    """
    # Angles, not pixels, are halved: perspective stretches what lies towards the edge.
    half = np.tan(fov / 2)
    angles = np.arctan(half * (2 * np.asarray(edges, np.float64).reshape(-1, 4) / side - 1))
    x, y, right, down = _ellipse(angles)
    pose = _poses(np.array([[azimuth, elevation]]))[0]
    centre = _through(np.tan(x), np.tan(y)) @ pose.T
    level = np.hypot(centre[:, 0], centre[:, 1])
    middle = np.stack([np.arctan2(centre[:, 1], centre[:, 0]), np.arctan2(centre[:, 2], level)], 1)
    return _measured(middle, _through(np.tan(right), np.tan(down)) @ pose.T)


def outline(box: ArrayLike, points: int = 64) -> Floats:
    """Azimuth and elevation `(points + 1, 2)` along the edge of a box `(4,)`, closed."""
    azimuth, elevation, width, height = np.asarray(box, np.float64)
    steps = np.linspace(-1, 1, points // 4, endpoint=False)
    across = np.concatenate([steps, np.ones_like(steps), -steps, -np.ones_like(steps), [-1]])
    up = np.concatenate([-np.ones_like(steps), steps, np.ones_like(steps), -steps, [-1]])
    rays = _vectors(across * width / 2, up * height / 2) @ _poses(np.array([[azimuth, elevation]]))[0].T
    return np.stack([np.arctan2(rays[:, 1], rays[:, 0]), np.arcsin(np.clip(rays[:, 2], -1, 1))], 1)


def overlaps(boxes: Floats) -> tuple[Floats, Floats]:
    """Intersection over union, and the share of each box that lies in another, both `(N, N)`."""
    area = boxes[:, 2] * 2 * np.sin(boxes[:, 3] / 2)
    held = np.stack([_inside(_grid(boxes), box).mean(1) for box in boxes], 1) if len(boxes) else np.zeros((0, 0))
    # The points of either box measure the intersection.
    shared = (held * area[:, None] + held.T * area[None, :]) / 2
    return shared / (area[:, None] + area[None, :] - shared), shared / area[:, None]


def merge(boxes: Floats, scores: NDArray[np.float32], cut: NDArray[np.bool_]) -> NDArray[np.int64]:
    """One box of each object, though several views may have seen it, or parts of it; whatever it was taken for.

    Args:
        boxes: `(N, 4)` azimuth, elevation, width, height.
        scores: `(N,)`.
        cut: `(N,)` whether the box ends at the edge of its view, so that the object may go on.

    Returns:
        Places `(M,)` of the boxes that stay, best first.
    """
    union, held = overlaps(boxes)
    same = (union >= SAME) | (cut[:, None] & (held >= HELD))
    kept: list[int] = []
    # Whole objects first: what is cut off gives way to the whole, whatever their scores.
    for each in np.lexsort((-scores, cut)).tolist():
        if not same[each, kept].any():
            kept.append(each)
    found = np.array(kept, np.int64)
    return found[np.argsort(-scores[found], kind="stable")]


def _ellipse(edges: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Centres `(N,)` of boxes, and points `(N, P)` on the ellipses inside them."""
    left, top, right, bottom = edges.T
    turn = 2 * np.pi * np.arange(POINTS) / POINTS
    x, y = (left + right) / 2, (top + bottom) / 2
    across = x[:, None] + (right - left)[:, None] / 2 * np.cos(turn)
    return x, y, across, y[:, None] + (bottom - top)[:, None] / 2 * np.sin(turn)


def _measured(centre: Floats, rays: Floats) -> Floats:
    """Boxes `(N, 4)` around directions `(N, 2)` that hold the rays `(N, P, 3)`."""
    forward, left, up = np.moveaxis(rays @ _poses(centre), -1, 0)
    across, rise = np.arctan2(left, forward), np.arcsin(np.clip(up / np.linalg.norm(rays, axis=-1), -1, 1))
    azimuth = (centre[:, 0] + np.pi) % (2 * np.pi) - np.pi
    return np.stack([azimuth, centre[:, 1], np.ptp(across, axis=1), np.ptp(rise, axis=1)], 1)


def _grid(boxes: Floats) -> Floats:
    """Vectors `(N, P, 3)` to points spread evenly over the areas of boxes."""
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
    """`(N, 3, 3)` front, left and up, as columns, of cameras that look in directions `(N, 2)`."""
    turns = torch.from_numpy(np.ascontiguousarray(directions, np.float64))
    return np.asarray(rotation(turns[:, 0], turns[:, 1]).numpy(), np.float64)


def _vectors(azimuth: Floats, elevation: Floats) -> Floats:
    level = np.cos(elevation)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], -1)


def _through(right: Floats, down: Floats) -> Floats:
    """Vectors through points of a picture at distance 1."""
    return np.stack([np.ones_like(right), -right, -down], -1)
