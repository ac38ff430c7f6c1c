"""Crops of the 360-degree world: where they look, and the picture and the sound that belong to each."""

# K crops, N objects; azimuth and elevation in radians

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from avssl.config import check_choices, choice
from avssl.data.sphere_sampling import TRIES_AT_FIRST, DirectionConstraints, sample_directions, sample_directions_near
from avssl.errors import InputError
from avssl.spatial.ambisonics import angles, direction, rotation
from avssl.spatial.viewport import crop

WORLDS = ("none", "yaw", "any")
CROP_GUIDES = ("random", "objects")


@dataclass(frozen=True)
class CropOptions:
    """Which crops are cut from a clip; the defaults are AVSA's, whose nominal 25.5 to 90 degrees are these."""

    crops: int = 4
    """Crops of one instant."""
    size: int = 112
    """Pixels of a side."""
    min_fov: float = 25.0
    """Degrees; least horizontal field of view. Its tangent is uniform up to the widest's."""
    max_fov: float = 76.3
    """Degrees; largest horizontal field of view."""
    aspect: float = 4 / 3
    """Largest ratio of vertical to horizontal field (tangents), and its inverse the least; log-uniform."""
    min_elevation: float = -30.0
    """Degrees; least elevation of a random crop's centre."""
    max_elevation: float = 30.0
    """Degrees; largest elevation of a random crop's centre."""
    min_separation: float = 0.0
    """Degrees between the centres of any two crops of a clip."""
    crop_guide: str = choice("random", CROP_GUIDES)
    """random, or objects: centred on the clip's objects, best first, and random where there are too few of them."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning, and crops that do not fit beside one another."""
        if self.crops < 1 or self.size < 1:
            raise InputError(f"crops and size are at least 1, not {self.crops} and {self.size}")
        if not 0 < self.min_fov <= self.max_fov < 180:
            raise InputError(f"0 < min_fov <= max_fov < 180 degrees, not {self.min_fov} and {self.max_fov}")
        if not -90 <= self.min_elevation <= self.max_elevation <= 90:
            raise InputError(
                f"-90 <= min_elevation <= max_elevation <= 90, not {self.min_elevation} and {self.max_elevation}"
            )
        if not 0 <= self.min_separation <= 180:
            raise InputError(f"min_separation is from 0 to 180 degrees, not {self.min_separation}")
        if not self.aspect >= 1:
            raise InputError(f"aspect is at least 1, not {self.aspect}")
        check_choices(self)
        sample_directions(self.room(), np.random.default_rng(0), TRIES_AT_FIRST)

    def room(self) -> DirectionConstraints:
        """Where the centres of a clip's crops may be."""
        return DirectionConstraints(
            self.crops,
            *(math.radians(angle) for angle in (self.min_elevation, self.max_elevation, self.min_separation)),
        )


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


def check_crop_guide(options: CropOptions, detector: str) -> None:
    """See that crops guided by objects have a detector that finds them.

    Raises:
        InputError: none is named.
    """
    if options.crop_guide == "objects" and not detector:
        raise InputError(
            "crop_guide is objects, but no detector is named: give a model's path, or truth in a made-up "
            "world (data.detector in a run, detector in a head)"
        )


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
