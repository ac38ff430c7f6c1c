"""Hard negatives of a crop: the clip's sound field rotated so that another object is where the crop shows its own."""

# K crops, M negatives of a crop, N objects

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avssl.data.crops import Crops
from avssl.data.guided_crops import aim_cameras
from avssl.data.sphere_sampling import Floats
from avssl.spatial.ambisonics import direction

SEPARATION = 30.0
"""Degrees; least angle between what a crop shows and the object of a negative: rotations by less than 15 to 20 degrees
can hardly be noticed, and detections that are nearer may be of one object."""


class ObjectNegatives(NamedTuple):
    """Rotations of a clip's sound field that fit none of its crops."""

    rotations: Tensor
    """`(K, M, 3, 3)` matrices for `ambisonics.rotate`."""
    of_objects: Tensor
    """`(K, M)` bool; False: a random direction, where a clip has too few other objects."""


def draw_object_negatives(crops: Crops, objects: Tensor, count: int, rng: np.random.Generator) -> ObjectNegatives:
    """Draw rotations that put other objects where a crop shows the object that guides it.

    A random crop shows none: there the other object is in its centre. Objects without a crop of their own come first.

    Args:
        crops: of the clip, as drawn with these objects.
        objects: `(N, 3)` azimuth, elevation and score of the clip's objects.
        count: M.
        rng: source of all random numbers.
    """
    # In the rotated scene, where cameras stand upright.
    scene, poses = crops.world.double(), crops.world.double() @ crops.cameras.double()
    vectors = direction(*objects[:, :2].double().T) @ scene.T
    shown = torch.stack(
        [pose[:, 0] if guide < 0 else vectors[guide] for pose, guide in zip(poses, crops.guides.tolist(), strict=True)]
    )
    chosen = [
        _other_directions(vectors.numpy(), each, guide, crops.guides.numpy(), count, rng)
        for each, guide in zip(shown.numpy(), crops.guides.tolist(), strict=True)
    ]
    targets = torch.from_numpy(np.stack([vectors for vectors, _ in chosen]))
    place = (poses.mT @ shown[..., None])[..., 0]
    left, up = ((place[:, axis] / place[:, 0])[:, None].expand(-1, count) for axis in (1, 2))
    negatives = crops.world.T @ aim_cameras(targets, left, up).float()
    return ObjectNegatives(
        torch.stack([crops._replace(cameras=each).to_front() for each in negatives.unbind(1)], 1),
        torch.from_numpy(np.stack([of_objects for _, of_objects in chosen])),
    )


def _other_directions(
    vectors: Floats, shown: Floats, guide: int, guides: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[Floats, np.ndarray]:
    """Unit vectors `(M, 3)` far from that which a crop shows, and whether each is of an object `(M,)`."""
    nearest = math.cos(math.radians(SEPARATION))
    candidates = rng.permutation(len(vectors))
    candidates = candidates[(vectors[candidates] @ shown <= nearest) & (candidates != guide)]
    candidates = candidates[np.isin(candidates, guides).argsort(kind="stable")][:count]
    found = vectors[candidates]
    while len(found) < count:
        drawn = rng.standard_normal((count, 3))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        found = np.concatenate([found, drawn[drawn @ shown <= nearest]])[:count]
    return found, np.arange(count) < len(candidates)
