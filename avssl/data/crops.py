"""Crops of 360-degree clips: view directions, perspective frames, and rotations of the sound field."""

# K crops, N objects; azimuth and elevation in radians

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
import torch
from torch import Tensor

from avssl.data.clip_options import CropOptions
from avssl.data.guided_crops import place_guided_crops
from avssl.data.sphere_sampling import Floats, sample_directions, sample_directions_near
from avssl.errors import InputError
from avssl.spatial.ambisonics import angles, direction, rotation
from avssl.spatial.viewport import crop_poses

SCENE_ROTATIONS = ("none", "yaw", "any")
_TWICE_LEFT = torch.tensor([0.0, 2.0, 0.0])[:, None]


class Crops(NamedTuple):
    """View directions of K crops of one clip, and the rotations of the sound field that belong to them."""

    cameras: Tensor
    """`(K, 3, 3)` axes front, left, up of each camera, as columns in the clip's x, y, z."""
    fields: Tensor
    """`(K,)` horizontal field of view in radians."""
    aspects: Tensor
    """`(K,)` tangent of the vertical over that of the horizontal half field."""
    flips: Tensor
    """`(K,)` bool; frames and sound field mirrored left to right."""
    world: Tensor
    """`(3, 3)` rotation of the whole scene, applied before the cameras are placed."""
    guides: Tensor
    """`(K,)` int64; index of the object that guides each crop, among the clip's objects; -1: a random crop."""

    def directions(self) -> Tensor:
        """`(K, 2)` azimuth and elevation of the centres in the clip's own frame."""
        return torch.stack(angles(self.cameras[:, :, 0]), 1)

    def rolls(self) -> Tensor:
        """`(K,)` roll of each camera about its front axis, relative to `rotation(*directions)`, radians."""
        # Relative to this very matrix: at a pole the azimuth is noise, which the roll compensates.
        relative = rotation(*self.directions().T).mT @ self.cameras
        return torch.atan2(relative[:, 2, 1], relative[:, 2, 2])

    def frames(self, frames: Tensor, size: int) -> Tensor:
        """uint8 `(K, time, 3, size, size)` from equirectangular uint8 `(time, 3, height, width)`."""
        return crop_poses(frames, self.to_front().mT, self.fields, size, self.aspects)

    def to_front(self) -> Tensor:
        """`(K, 3, 3)` matrices for `ambisonics.rotate` that bring the centre of each crop to the front."""
        return self._mirrored(self.cameras.mT)

    def to_world(self) -> Tensor:
        """`(K, 3, 3)` matrices for `ambisonics.rotate`: the rotation of the scene, without that of the crops."""
        return self._mirrored(self.world.expand(len(self.cameras), 3, 3))

    def _mirrored(self, matrices: Tensor) -> Tensor:
        return matrices * (1 - self.flips[:, None, None] * _TWICE_LEFT)


def draw_crops(
    options: CropOptions,
    rng: np.random.Generator,
    world: str = "none",
    flip: float = 0.0,
    objects: Tensor | None = None,
) -> Crops:
    """Draw the crops of one clip.

    Cameras stand upright in a scene that is first rotated as a whole: `yaw` changes neither the frames nor `to_front`,
    only `to_world`; `any` also tilts and rolls frames and sound field together.
    Azimuths of random crops are uniform over the circle and elevations uniform over their range, as in AVSA. Crops of
    objects show them at any elevation, in the centre (Wang 2023) or off it, see `place_guided_crops`; random crops fill
    the rest, all of them where a clip has no objects.

    Args:
        options: counts, ranges, and whether objects guide the crops.
        rng: source of all random numbers.
        world: `none`, `yaw` or `any` (uniform over all rotations).
        flip: probability that a crop is mirrored.
        objects: `(N, 3)` azimuth, elevation and score of the clip's objects; not used by random crops.

    Raises:
        InputError: unknown `world`; guided crops without objects, or with directions or scores that are not finite.

    Example:
        >>> crops = draw_crops(CropOptions(crops=3), np.random.default_rng(0))
        >>> crops.directions().shape  # azimuth and elevation of each centre
        torch.Size([3, 2])
    """
    if options.crop_guide == "objects":
        return _guided_crops(options, rng, draw_rotation(world, rng), flip, _checked(objects))
    centres = sample_directions(options.constraints(), rng)
    fields, aspects = _lenses(options, rng.random((2, options.crops)))
    scene = draw_rotation(world, rng)
    return _crops(_upright(centres).float(), fields, aspects, flip, scene, rng)


def _guided_crops(options: CropOptions, rng: np.random.Generator, scene: Tensor, flip: float, objects: Tensor) -> Crops:
    """Crops of distinct objects, best first, then random ones."""
    order = objects[:, 2].argsort(descending=True, stable=True)
    directions = torch.stack(angles(direction(*objects[order, :2].T) @ scene.double().T), 1).numpy()
    shares = rng.random((2, options.crops))
    chosen, cameras = place_guided_crops(directions, *_lenses(options, shares, options.crops), options, rng)
    aimed = torch.stack(angles(cameras[:, :, 0]), 1).numpy()
    centres, guided = sample_directions_near(aimed, options.constraints(), rng)
    poses = torch.cat([cameras[:guided], _upright(centres[guided:])]).float()
    crops = _crops(poses, *_lenses(options, shares, guided), flip, scene, rng)
    crops.guides[:guided] = order[chosen[:guided]]
    return crops


def _crops(
    poses: Tensor, fields: Tensor, aspects: Tensor, flip: float, scene: Tensor, rng: np.random.Generator
) -> Crops:
    """Random crops from poses of cameras in the rotated scene."""
    flips = torch.from_numpy(rng.random(len(poses)) < flip)
    return Crops(scene.T @ poses, fields, aspects, flips, scene, torch.full((len(poses),), -1))


def draw_rotation(kind: str, rng: np.random.Generator) -> Tensor:
    """Draw a random rotation `(3, 3)` of the scene.

    Args:
        kind: `none` (the identity), `yaw` (uniform about the vertical), `pitch-yaw` (also a pitch, uniform within 90
            degrees up and down) or `any` (uniform over all rotations).
        rng: source of all random numbers.

    Raises:
        InputError: unknown `kind`.
    """
    if kind == "none":
        return torch.eye(3)
    if kind == "any":
        # A normalised quaternion of normal deviates, w first, is uniform over all rotations.
        quaternion = np.roll(rng.standard_normal(4), -1)
        return torch.from_numpy(scipy.spatial.transform.Rotation.from_quat(quaternion).as_matrix()).float()
    if kind not in ("yaw", "pitch-yaw"):
        raise InputError(f"expected a rotation none, yaw, pitch-yaw or any, got {kind!r}")
    yaw = rng.uniform(-np.pi, np.pi)
    pitch = rng.uniform(-np.pi / 2, np.pi / 2) if kind == "pitch-yaw" else 0.0
    return _upright(np.array([[yaw, pitch]]))[0].float()


def _upright(centres: Floats) -> Tensor:
    """`rotation` of directions `(K, 2)`, float64 `(K, 3, 3)`; for a few angles in a fraction of its time."""
    (cy, cp), (sy, sp) = np.cos(centres.T), np.sin(centres.T)
    poses = np.empty((len(centres), 3, 3))
    poses[:, 0, 0], poses[:, 0, 1], poses[:, 0, 2] = cy * cp, -sy, -cy * sp
    poses[:, 1, 0], poses[:, 1, 1], poses[:, 1, 2] = sy * cp, cy, -sy * sp
    poses[:, 2, 0], poses[:, 2, 1], poses[:, 2, 2] = sp, 0.0, cp
    return torch.from_numpy(poses)


def _lenses(options: CropOptions, shares: Floats, guided: int = 0) -> tuple[Tensor, Tensor]:
    """Fields of view and aspects, each `(K,)`, from uniform shares `(2, K)`; the first are those of guided crops."""
    fields = []
    for is_guided in (True, False):
        least, most = np.tan(np.radians(options.fov(is_guided)) / 2)
        fields.append(2 * np.arctan(least + (most - least) * shares[0]))
    chosen = np.where(np.arange(options.crops) < guided, *fields)
    aspects = options.aspect ** (2 * shares[1] - 1)
    return torch.from_numpy(chosen).float(), torch.from_numpy(aspects).float()


def _checked(objects: Tensor | None) -> Tensor:
    """Azimuth, elevation and score `(N, 3)` of the objects of a clip, float64."""
    if objects is None or objects.ndim != 2 or objects.shape[1] != 3:
        found = "none" if objects is None else tuple(objects.shape)
        raise InputError(
            f"crop_guide is objects: azimuth, elevation and score of a clip's objects are (N, 3), not {found}"
        )
    if not bool(objects.isfinite().all()):
        raise InputError("crop_guide is objects: azimuth, elevation and score are finite numbers, here are others")
    return objects.double()
