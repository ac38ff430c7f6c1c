"""Backgrounds: seamless surroundings, drawn once per scene over the field of view of the lens."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.lens import Lens
from avssl.synth.projection.tangent_plane import tangent_basis
from avssl.synth.sprites.drawing import Brush

Image = NDArray[np.float32]


def draw_background(seed: int, lens: Lens, family: str = "") -> NDArray[np.uint8]:
    """A random surrounding: uint8 `(height, width, 3)`, RGB; of one of `FAMILIES`, or of any."""
    rng = np.random.default_rng(seed)
    rays = _rays(lens)
    drawn = FAMILIES[rng.integers(len(FAMILIES))]
    image = _DRAWN[family or drawn](rng, rays @ _yaw(rng))
    image = image * (1 + 0.04 * _noise(rng, rays, rng.uniform(20, 70), 8))[..., None]
    frame = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    for _ in range(rng.integers(0, 6)):
        _clutter(rng, frame, lens)
    return frame


@lru_cache(maxsize=2)
def _rays(lens: Lens) -> Image:
    return lens.rays()


def _yaw(rng: np.random.Generator) -> Image:
    turn = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], np.float32)


def _colour(rng: np.random.Generator, dullest: float = 0.05, fullest: float = 0.45) -> Image:
    value = rng.uniform(0.25, 0.95)
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(dullest, fullest), value), np.float32)


def _noise(rng: np.random.Generator, points: Image, scale: float, waves: int) -> Image:
    """Smooth noise of unit variance at points of space: a sum of plane waves."""
    directions = rng.standard_normal((3, waves)).astype(np.float32) * np.float32(scale / np.sqrt(3))
    phases = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)
    return np.asarray(np.sin(points @ directions + phases).sum(-1) * np.float32(np.sqrt(2 / waves)))


def _blend(low: Image, high: Image, share: Image) -> Image:
    return low + (high - low) * np.clip(share, 0, 1)[..., None]


def _outdoors(rng: np.random.Generator, rays: Image) -> Image:
    """Sky with clouds, ranges of hills, a meadow."""
    height = rays[..., 2]
    image = _blend(_colour(rng), _colour(rng), height * 1.5)
    image = _blend(image, np.ones(3, np.float32), 0.6 * _noise(rng, rays * (1, 1, 2.5), 5, 8) - 0.3 + 0.2 * height)
    azimuth = np.arctan2(rays[..., 1], rays[..., 0])
    for layer in range(rng.integers(1, 4)):
        ridge = 0.25 - 0.14 * layer + sum(_ridge(rng, azimuth, k) for k in (1, 2, 3, 5, 9))
        image = _blend(image, _colour(rng, 0.15, 0.5), (ridge - height) * 60)
    ground = _blend(_colour(rng), _colour(rng), 0.5 + 0.4 * _noise(rng, rays, 14, 8))
    return _blend(image, ground, (-0.12 - height) * 40)


def _ridge(rng: np.random.Generator, azimuth: Image, order: int) -> Image:
    return np.asarray(rng.uniform(0, 0.12) / order**0.7 * np.cos(order * azimuth + rng.uniform(0, 2 * np.pi)))


def _room(rng: np.random.Generator, rays: Image) -> Image:
    """A box seen from inside, each face with its own pattern."""
    sizes = rng.uniform((2, 2, 1), (6, 6, 3), (2, 3)).astype(np.float32)
    reach = np.where(rays > 0, sizes[0], sizes[1]) / np.maximum(np.abs(rays), 1e-6)
    axis = reach.argmin(-1)
    hit = rays * reach.min(-1, keepdims=True)
    side = 2 * axis + (np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0)
    image = np.zeros_like(rays)
    for face in range(6):
        here = side == face
        u, v = (hit[here][:, k] for k in range(3) if k != face // 2)
        image[here] = _blend(_colour(rng), _colour(rng), _face(rng, u, v))
    return np.asarray(image * (1.1 - 0.06 * reach.min(-1, keepdims=True)))


def _face(rng: np.random.Generator, u: Image, v: Image) -> Image:
    """0..1, the second colour's share on one face of a room."""
    scale = rng.uniform(1.5, 5)
    across, down = np.sin(scale * u + rng.uniform(0, 6)), np.sin(scale * v + rng.uniform(0, 6))
    patterns = (across * 4, down * 4, across * down * 8, np.abs(across * down) * 4 - 3.4, np.full_like(u, rng.random()))
    return np.asarray(np.clip(patterns[rng.integers(len(patterns))] + 0.3, 0, 1) * np.float32(rng.uniform(0.2, 0.8)))


def _city(rng: np.random.Generator, rays: Image) -> Image:
    """Blocks with rows of windows around a square."""
    height, turn = rays[..., 2], np.arctan2(rays[..., 1], rays[..., 0]) / (2 * np.pi) + 0.5
    image = _blend(_colour(rng), _colour(rng), height * 1.3 + 0.2)
    edges = np.sort(rng.random(rng.integers(8, 24)))
    house = np.searchsorted(edges, turn) % len(edges)
    tall = rng.uniform(0.0, 0.6, len(edges)).astype(np.float32)[house]
    walls = np.stack([_colour(rng) for _ in edges])[house]
    pitch = rng.integers(60, 140)
    windows = (np.sin(2 * np.pi * pitch * turn) > 0.2) & (np.sin(rng.uniform(30, 60) * height) > 0.2)
    walls = np.where(windows[..., None], walls * np.float32(rng.uniform(0.5, 1.3)), walls)
    image = np.where((height < tall)[..., None], walls, image)
    street = _blend(_colour(rng, 0, 0.2), _colour(rng, 0, 0.2), 0.5 + 0.4 * _noise(rng, rays, 20, 6))
    return np.asarray(np.where((height < -0.15)[..., None], street, image), np.float32)


def _haze(rng: np.random.Generator, rays: Image) -> Image:
    """Three colours that flow into one another."""
    image = _blend(_colour(rng), _colour(rng), 0.5 + 0.5 * _noise(rng, rays, rng.uniform(2, 6), 8))
    return _blend(image, _colour(rng), 0.7 * _noise(rng, rays, rng.uniform(4, 16), 10))


def _clutter(rng: np.random.Generator, frame: NDArray[np.uint8], lens: Lens) -> None:
    """A dull polygon somewhere, that is no object of any kind."""
    colour = tuple(_colour(rng, 0.0, 0.4).tolist())
    brush = Brush(colour, colour, colour, 1.0)
    turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
    brush.polygon([(0.95 * float(np.cos(turn)), 0.95 * float(np.sin(turn))) for turn in turns], colour)
    alpha = brush.alpha.astype(np.float32)[..., None]
    image = np.concatenate([brush.colour * alpha, alpha], axis=-1).astype(np.uint8)
    angles = rng.uniform(-np.pi, np.pi), np.arcsin(rng.uniform(-0.9, 0.9)), rng.uniform(0, 2 * np.pi)
    lens.stamp(frame, image, tangent_basis(*map(np.asarray, angles)), float(np.tan(np.radians(rng.uniform(3, 10)))))


_DRAWN = {"outdoors": _outdoors, "room": _room, "city": _city, "haze": _haze}
FAMILIES = tuple(_DRAWN)
"""Types of background."""
