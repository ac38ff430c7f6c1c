"""Crops of the 360-degree world: where they look, and the picture and the sound that belong to each."""

# K crops, N objects; azimuth and elevation in radians

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from avssl.data.clip_options import CropOptions
from avssl.data.sphere_sampling import sample_directions, sample_directions_near
from avssl.errors import InputError
from avssl.spatial.ambisonics import angles, direction, rotation
from avssl.spatial.viewport import crop

WORLDS = ("none", "yaw", "any")


class Crops(NamedTuple):
    """Where K crops of one clip look, and what is heard from there."""

    cameras: Tensor
    """`(K, 3, 3)` axes front, left, up of each camera, as columns in the clip's x, y, z."""
    fields: Tensor
    """`(K,)` horizontal field of view in radians."""
    aspects: Tensor
    """`(K,)` tangent of the vertical over that of the horizontal half field."""
    flips: Tensor
    """`(K,)` bool; mirrored left to right, picture and sound alike."""
    world: Tensor
    """`(3, 3)` rotation that the whole world underwent before the cameras were placed in it."""

    def directions(self) -> Tensor:
        """`(K, 2)` azimuth and elevation of the centres in the clip's own frame."""
        return torch.stack(angles(self.cameras[:, :, 0]), 1)

    def rolls(self) -> Tensor:
        """`(K,)` radians by which each camera is turned about its own front axis from `rotation(*directions)`."""
        # Against that very matrix: at a pole the azimuth is noise, which the roll has to make up for.
        turned = rotation(*self.directions().T).mT @ self.cameras
        return torch.atan2(turned[:, 2, 1], turned[:, 2, 2])

    def frames(self, frames: Tensor, size: int) -> Tensor:
        """uint8 `(K, time, 3, size, size)` from equirectangular uint8 `(time, 3, height, width)`."""
        cut: Tensor = crop(frames, self.directions(), self.fields, size, roll=self.rolls(), aspect=self.aspects)
        cut[self.flips] = cut[self.flips].flip(-1)
        return cut

    def to_front(self) -> Tensor:
        """`(K, 3, 3)` matrices for `ambisonics.rotate`: the clip's sound as heard in the direction of each crop."""
        return self._mirrored(self.cameras.mT)

    def to_world(self) -> Tensor:
        """`(K, 3, 3)` matrices for `ambisonics.rotate`: the sound of the rotated world, not turned to the crops."""
        return self._mirrored(self.world.expand(len(self.cameras), 3, 3))

    def _mirrored(self, matrices: Tensor) -> Tensor:
        sign = 1 - 2 * self.flips.to(matrices.dtype)
        return matrices * torch.stack([torch.ones_like(sign), sign, torch.ones_like(sign)], 1)[:, :, None]


def draw_crops(
    options: CropOptions,
    rng: np.random.Generator,
    world: str = "none",
    flip: float = 0.0,
    objects: Tensor | None = None,
) -> Crops:
    """Draw the crops of one clip.

    Cameras stand upright in a world that was first rotated as a whole: `yaw` changes nothing that can be seen or that
    is heard after `to_front`, only what `to_world` gives; `any` also tilts and rolls pictures and sound together.
    Azimuths of random crops are uniform over the circle and elevations uniform over their range, as in AVSA; objects
    are looked at wherever they are (Wang 2023).

    Args:
        options: counts, ranges, and whether objects guide the crops.
        rng: the only source of chance.
        world: `none`, `yaw` or `any` (uniform over all rotations).
        flip: probability that a crop is mirrored.
        objects: `(N, 3)` azimuth, elevation and score of the clip's objects; unused by random crops.

    Raises:
        InputError: `world` is none of these; crops are guided, but without objects or with some that are no numbers.

    Example:
        >>> crops = draw_crops(CropOptions(crops=3), np.random.default_rng(0))
        >>> crops.directions().shape  # azimuth and elevation of each centre
        torch.Size([3, 2])
    """
    if options.crop_guide == "objects":
        turned = draw_rotation(world, rng)
        places = sample_directions_near(_ranked(objects, turned), options.room(), rng)
        fields, aspects = _draw_lenses(options, rng)
    else:
        places = sample_directions(options.room(), rng)
        fields, aspects = _draw_lenses(options, rng)
        turned = draw_rotation(world, rng)
    azimuth, elevation = torch.from_numpy(places).float().T
    flips = torch.from_numpy(rng.random(options.crops) < flip)
    return Crops(turned.T @ rotation(azimuth, elevation), fields, aspects, flips, turned)


def draw_rotation(kind: str, rng: np.random.Generator) -> Tensor:
    """A random rotation `(3, 3)` of the world.

    Args:
        kind: `none` (the identity), `yaw` (uniform about the vertical), `pitch-yaw` (also a pitch, uniform within 90
            degrees up and down) or `any` (uniform over all rotations).
        rng: the only source of chance.

    Raises:
        InputError: `kind` is none of these.
    """
    if kind == "none":
        return torch.eye(3)
    if kind == "any":
        # A quaternion of normal deviates, w first, gives all rotations alike.
        return torch.from_numpy(Rotation.from_quat(np.roll(rng.standard_normal(4), -1)).as_matrix()).float()
    if kind not in ("yaw", "pitch-yaw"):
        raise InputError(f"a rotation is none, yaw, pitch-yaw or any, not {kind!r}")
    yaw = rng.uniform(-np.pi, np.pi)
    pitch = rng.uniform(-np.pi / 2, np.pi / 2) if kind == "pitch-yaw" else 0.0
    return rotation(torch.tensor(yaw, dtype=torch.float32), torch.tensor(pitch, dtype=torch.float32))


def _draw_lenses(options: CropOptions, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Fields of view and aspects, each `(K,)`."""
    least, most = np.tan(np.radians([options.min_fov, options.max_fov]) / 2)
    fields = 2 * np.arctan(rng.uniform(least, most, options.crops))
    aspects = options.aspect ** rng.uniform(-1, 1, options.crops)
    return torch.from_numpy(fields).float(), torch.from_numpy(aspects).float()


def _ranked(objects: Tensor | None, turned: Tensor) -> np.ndarray:
    """Directions `(N, 2)` of a clip's objects in the turned world, best first."""
    if objects is None or objects.ndim != 2 or objects.shape[1] != 3:
        found = "none" if objects is None else tuple(objects.shape)
        raise InputError(
            f"crop_guide is objects: azimuth, elevation and score of a clip's objects are (N, 3), not {found}"
        )
    if not bool(objects.isfinite().all()):
        raise InputError("crop_guide is objects: azimuth, elevation and score are finite numbers, here are others")
    best = objects.double()[objects[:, 2].argsort(descending=True, stable=True)]
    return torch.stack(angles(direction(best[:, 0], best[:, 1]) @ turned.double().T), 1).numpy()
