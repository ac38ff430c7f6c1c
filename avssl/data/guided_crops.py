"""Cameras of crops guided by objects: each object at a random place of its crop, crops far enough apart."""

# G guided crops, N objects, C candidates; azimuth and elevation in radians

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.data.clip_options import CropOptions
from avssl.data.sphere_sampling import Floats, are_apart, distinct_directions
from avssl.spatial.ambisonics import angles, direction, rotation

CANDIDATES = 32
"""Places of an object in its crop that are tried before all objects are placed nearer to the centres."""
SCALES = (1.0, 0.75, 0.5, 0.25)
"""Fractions of the largest offset, one after the other; at last objects are in the centres, which are far apart."""


def place_guided_crops(
    objects: Floats, fields: Tensor, aspects: Tensor, options: CropOptions, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Tensor]:
    """Choose distinct objects, and a camera for each that shows it at a random place.

    Places are uniform over the central part of a crop that `guided_offset` names, given that centres keep
    `guided_separation`; where that leaves no room, objects move towards the centres of their crops.

    Args:
        objects: `(N, 2)` azimuth and elevation, best first.
        fields: `(K,)` horizontal fields of view, if guided.
        aspects: `(K,)` tangent of the vertical over that of the horizontal half field.
        options: number of crops, offset, least separation.
        rng: source of all random numbers; not used with an offset of 0.

    Returns:
        Indices of the objects `(G,)`, and poses of the cameras, float64 `(G, 3, 3)`.
    """
    least = options.guided_constraints().min_separation
    chosen = distinct_directions(objects, options.crops, least)
    centred = torch.from_numpy(objects[chosen]).T
    if not (options.guided_offset and len(chosen)):
        return chosen, rotation(*centred)
    targets, count = direction(*centred)[:, None], len(chosen)
    half = options.guided_offset * torch.tan(fields[:count].double() / 2)
    largest = torch.stack([half, half * aspects[:count]], 1)[:, None]
    for scale in SCALES:
        offsets = scale * largest * torch.from_numpy(rng.uniform(-1, 1, (count, CANDIDATES, 2)))
        cameras = aim_cameras(targets, *offsets.unbind(-1))
        found = _first_apart(torch.stack(angles(cameras[..., 0]), -1).numpy(), least)
        if found is not None:
            return chosen, cameras[torch.arange(count), torch.from_numpy(found)]
    return chosen, rotation(*centred)


def aim_cameras(targets: Tensor, left: Tensor, up: Tensor) -> Tensor:
    """Poses of cameras that show given directions at given places of their image planes.

    Cameras are upright. Near a pole, where no upright camera shows a direction at the side, the camera is tilted by the
    smallest angle that does.

    Args:
        targets: `(..., 3)` unit vectors.
        left: `(...)` tangent of the place to the left of the image centre.
        up: `(...)` tangent of the place above the image centre.

    Returns:
        `(..., 3, 3)`: front, left and up axes of each camera as columns.
    """
    place = torch.stack([torch.ones_like(left), left, up], -1)
    length = torch.linalg.vector_norm(place, dim=-1)
    # Height of the place in an upright camera: sin(elevation) + up cos(elevation) = length * height of the target.
    sine = (targets[..., 2] * length / torch.hypot(torch.ones_like(up), up)).clamp(-1, 1)
    elevation = (sine.asin() - up.atan()).clamp(-torch.pi / 2, torch.pi / 2)
    ray = (place / length[..., None])[..., None]
    level = rotation(torch.zeros_like(elevation), elevation) @ ray
    azimuth = angles(targets)[0] - angles(level[..., 0])[0]
    cameras = rotation(azimuth, elevation)
    shown = (cameras @ ray)[..., 0]
    return _shortest_rotation(shown, targets.expand_as(shown)) @ cameras


def _first_apart(centres: Floats, least: float) -> NDArray[np.int64] | None:
    """For each of `(G, C, 2)` the first candidate that is far enough from those chosen before; None if one has none."""
    taken, found = centres[:0, 0], []
    for candidates in centres:
        free = are_apart(candidates, taken, least)
        if not free.any():
            return None
        found.append(int(free.argmax()))
        taken = np.concatenate([taken, candidates[found[-1:]]])
    return np.array(found, np.int64)


def _shortest_rotation(start: Tensor, end: Tensor) -> Tensor:
    """Rotations `(..., 3, 3)` by the smallest angle, below 180 degrees, from unit vectors to others."""
    x, y, z = torch.linalg.cross(start, end).unbind(-1)
    zero = torch.zeros_like(x)
    axis = torch.stack([torch.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -2)
    cosine = (start * end).sum(-1)[..., None, None]
    return torch.eye(3).to(axis) + axis + axis @ axis / (1 + cosine)
