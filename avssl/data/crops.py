"""Crops of the 360-degree world: where they look, and the picture and the sound that belong to each."""

# K crops; azimuth and elevation in radians

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avssl.spatial.ambisonics import rotation
from avssl.spatial.viewport import crop

WORLDS = ("none", "yaw", "any")

# Draws of a whole set before giving up; a configuration is accepted only if far fewer are enough for it.
TRIES = 5000
TRIES_AT_FIRST = 50


@dataclass(frozen=True)
class CropOptions:
    """Which crops are cut from a clip; the defaults are AVSA's, whose nominal 25.5 to 90 degrees are these."""

    crops: int = 4
    """Crops of one instant."""
    size: int = 112
    """Pixels of a side."""
    narrowest: float = 25.0
    """Degrees; least horizontal field of view. Its tangent is uniform up to the widest's."""
    widest: float = 76.3
    """Degrees; largest horizontal field of view."""
    aspect: float = 4 / 3
    """Largest ratio of vertical to horizontal field (tangents), and its inverse the least; log-uniform."""
    lowest: float = -30.0
    """Degrees; least elevation of a crop's centre."""
    highest: float = 30.0
    """Degrees; largest elevation of a crop's centre."""
    least_angle: float = 0.0
    """Degrees between the centres of any two crops of a clip."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning, and crops that do not fit beside one another."""
        if self.crops < 1 or self.size < 1:
            raise ValueError(f"crops and size are at least 1, not {self.crops} and {self.size}")
        if not 0 < self.narrowest <= self.widest < 180:
            raise ValueError(f"0 < narrowest <= widest < 180 degrees, not {self.narrowest} and {self.widest}")
        if not -90 <= self.lowest <= self.highest <= 90:
            raise ValueError(f"-90 <= lowest <= highest <= 90 degrees, not {self.lowest} and {self.highest}")
        if not self.aspect >= 1:
            raise ValueError(f"aspect is at least 1, not {self.aspect}")
        draw_directions(self, np.random.default_rng(0), TRIES_AT_FIRST)


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
        front = self.cameras[:, :, 0]
        return torch.stack([torch.atan2(front[:, 1], front[:, 0]), torch.asin(front[:, 2].clamp(-1, 1))], 1)

    def rolls(self) -> Tensor:
        """`(K,)` radians by which each camera is turned about its own front axis."""
        return torch.atan2(self.cameras[:, 2, 1], self.cameras[:, 2, 2])

    def pictures(self, frames: Tensor, size: int) -> Tensor:
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


def draw_crops(options: CropOptions, rng: np.random.Generator, world: str = "none", flip: float = 0.0) -> Crops:
    """Draw the crops of one clip.

    Azimuths are uniform over the circle and elevations uniform over their range, as in AVSA. Cameras stand upright in a
    world that was first rotated as a whole: `yaw` changes nothing that can be seen or that is heard after `to_front`
    (azimuths are uniform already), only what `to_world` gives; `any` also tilts and rolls pictures and sound together.

    Args:
        options: counts and ranges.
        rng: the only source of chance.
        world: `none`, `yaw` or `any` (uniform over all rotations).
        flip: probability that a crop is mirrored.

    Raises:
        ValueError: `world` is none of these.
    """
    azimuth, elevation = torch.from_numpy(draw_directions(options, rng)).float().T
    least, most = np.tan(np.radians([options.narrowest, options.widest]) / 2)
    fields = 2 * np.arctan(rng.uniform(least, most, options.crops))
    aspects = options.aspect ** rng.uniform(-1, 1, options.crops)
    turned = draw_rotation(world, rng)
    return Crops(
        turned.T @ rotation(azimuth, elevation),
        torch.from_numpy(fields).float(),
        torch.from_numpy(aspects).float(),
        torch.from_numpy(rng.random(options.crops) < flip),
        turned,
    )


def draw_rotation(kind: str, rng: np.random.Generator) -> Tensor:
    """A random rotation `(3, 3)` of the world.

    Args:
        kind: `none` (the identity), `yaw` (uniform about the vertical), `pitch-yaw` (also a pitch, uniform within 90
            degrees up and down) or `any` (uniform over all rotations).
        rng: the only source of chance.

    Raises:
        ValueError: `kind` is none of these.
    """
    if kind == "none":
        return torch.eye(3)
    if kind == "any":
        return _from_quaternion(rng.standard_normal(4))
    if kind not in ("yaw", "pitch-yaw"):
        raise ValueError(f"a rotation is none, yaw, pitch-yaw or any, not {kind!r}")
    yaw = rng.uniform(-np.pi, np.pi)
    pitch = rng.uniform(-np.pi / 2, np.pi / 2) if kind == "pitch-yaw" else 0.0
    return rotation(torch.tensor(yaw, dtype=torch.float32), torch.tensor(pitch, dtype=torch.float32))


def draw_directions(options: CropOptions, rng: np.random.Generator, tries: int = TRIES) -> np.ndarray:
    """Azimuth and elevation `(K, 2)` of crops, one after the other, each far enough from those before it.

    Raises:
        ValueError: so many crops this far apart were not found; some tries are enough wherever there is room.
    """
    for _ in range(tries):
        found = np.empty((0, 2))
        while len(found) < options.crops:
            candidates = _candidates(options, rng)
            free = _cosines(candidates, found).max(1, initial=-1.0) <= np.cos(np.radians(options.least_angle)) + 1e-12
            if not free.any():
                break
            found = np.concatenate([found, candidates[free][:1]])
        else:
            return found
    raise ValueError(
        f"{options.crops} crops do not fit {options.least_angle} degrees apart between elevations {options.lowest} "
        f"and {options.highest}: fewer crops or a smaller least_angle"
    )


def _candidates(options: CropOptions, rng: np.random.Generator) -> np.ndarray:
    lowest, highest = np.radians([options.lowest, options.highest])
    return np.stack([rng.uniform(-np.pi, np.pi, 64), rng.uniform(lowest, highest, 64)], 1)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of the angles between directions, `(len(a), len(b))`."""
    across = np.cos(a[:, None, 0] - b[None, :, 0]) * np.cos(a[:, None, 1]) * np.cos(b[None, :, 1])
    cosines: np.ndarray = across + np.sin(a[:, None, 1]) * np.sin(b[None, :, 1])
    return cosines


def _from_quaternion(q: np.ndarray) -> Tensor:
    """A rotation from any quaternion but 0; one of normal deviates gives all rotations alike."""
    w, x, y, z = q / np.linalg.norm(q)
    matrix = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.tensor(matrix, dtype=torch.float32)
