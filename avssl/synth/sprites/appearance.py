"""Appearance of an individual object: size, colours, texture, pose, and the resulting image."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.sprites.drawing import SIDE, Brush, Colour

TEXTURES = ("plain", "stripes", "bands", "dots", "checks", "clouds")
OUTLINE = 5
"""Width of the dark outline, pixels of the canvas."""


@dataclass(frozen=True)
class Appearance:
    """How one individual of a kind differs from the others."""

    radius: float
    """Metres of the circle around it."""
    hue: float
    """0..1 around the colour wheel."""
    saturation: float
    value: float
    trim_value: float
    """Brightness of the second colour."""
    texture: str
    texture_scale: float
    """Repeats across the object."""
    contrast: float
    """0..1, of the texture."""
    aspect: float
    """Width over height, relative to the kind's own."""
    tilt: float
    """Radians in the picture's plane."""
    wobble: float
    """Radians by which the tilt swings."""
    wobble_rate: float
    """Hz."""
    spin: float
    """Turns a second; few kinds spin."""
    pulse: float
    """Share by which it grows when it is, or would be, at its loudest."""


def sample_appearance(
    rng: np.random.Generator, hue: float, spins: bool, distance: float, radii: tuple[float, float]
) -> Appearance:
    """A random individual.

    Args:
        rng: where the randomness comes from.
        hue: the kind's own, 0..1.
        spins: whether the kind turns about itself.
        distance: metres at time 0.
        radii: smallest and largest radius that is seen from there, degrees.
    """
    return Appearance(
        radius=float(distance * np.tan(np.radians(rng.uniform(*radii)))),
        hue=float((hue + rng.uniform(-1, 1) * 13 / 360) % 1),
        saturation=float(rng.uniform(0.55, 1.0)),
        value=float(rng.uniform(0.55, 1.0)),
        trim_value=float(rng.uniform(0.7, 1.0)),
        texture=str(rng.choice(TEXTURES)),
        texture_scale=float(rng.uniform(2.5, 6)),
        contrast=float(rng.uniform(0.2, 0.6)),
        aspect=float(rng.uniform(0.8, 1.0)),
        tilt=float(np.radians(rng.uniform(-15, 15))),
        wobble=float(np.radians(rng.uniform(0, 10))),
        wobble_rate=float(rng.uniform(0.3, 1.5)),
        spin=float(rng.uniform(0.3, 0.9) * rng.choice([-1, 1])) if spins else 0.0,
        pulse=float(rng.uniform(0.05, 0.3)),
    )


def paint(look: Appearance, silhouette: Callable[[Brush], None]) -> NDArray[np.uint8]:
    """The object's picture, uint8 `(side, side, 4)`, RGBA with colour multiplied by alpha."""
    brush = Brush(*_colours(look), look.aspect)
    silhouette(brush)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    pattern = 1 - look.contrast * _pattern(look, columns, rows)
    worn = 1 + (pattern - 1) * (brush.textured.astype(np.float32) / 255)
    light = 1.12 - 0.4 * rows + 0.12 * (0.5 - columns)
    shaded = brush.colour * (worn * light * _edge(brush.alpha))[..., None]
    alpha = brush.alpha.astype(np.float32)[..., None]
    return np.asarray(np.concatenate([np.clip(shaded, 0, 1) * alpha, alpha], axis=-1).round(), np.uint8)


def _colours(look: Appearance) -> tuple[Colour, Colour, Colour]:
    body = colorsys.hsv_to_rgb(look.hue, look.saturation, look.value)
    trim = colorsys.hsv_to_rgb((look.hue + 0.08) % 1, 0.25 * look.saturation, look.trim_value)
    dark = colorsys.hsv_to_rgb(look.hue, 0.6 * look.saturation, 0.22 * look.value)
    return body, trim, dark


def _pattern(look: Appearance, x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """0..1, what the texture darkens."""
    turn = np.float32(2 * np.pi * look.texture_scale)
    across, down = np.sin(turn * x), np.sin(turn * y)
    drawn = {
        "plain": np.zeros_like(x),
        "stripes": across,
        "bands": down,
        "dots": across * down * 2 - 0.6,
        "checks": across * down * 8,
        "clouds": np.sin(turn * (x + 0.3 * down)) * np.sin(0.7 * turn * (y + 0.2 * across)),
    }[look.texture]
    return np.asarray(np.clip(3 * drawn, 0, 1))


def _edge(alpha: NDArray[np.uint8]) -> NDArray[np.float32]:
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(0.5 + 0.5 * np.clip(depth / OUTLINE, 0, 1), np.float32)
