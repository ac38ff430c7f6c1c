"""A clip as it is shown in training: a part of it, maybe mirrored, in other colours; alike in all its pictures."""

# T time, H and W rows and columns

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from avssl.data.augment import jitter_colour
from avssl.models.geometry import resolved
from avssl_downstream.action.options import ActionOptions

NARROWEST, WIDEST = 3 / 4, 4 / 3
"""Width over height."""
TRIES = 10

Box = tuple[int, int, int, int]
"""Top, left, height, width."""


def view(frames: Tensor, options: ActionOptions, rng: np.random.Generator) -> Tensor:
    """Cut out, scale, mirror, change colours.

    Args:
        frames: uint8 `(T, 3, H, W)`.
        options: how much.
        rng: the only source of chance.

    Returns:
        uint8 `(T, 3, size, size)`.
    """
    top, left, height, width = draw_box(frames.shape[-2], frames.shape[-1], options.min_crop_area, rng)
    part = frames[..., top : top + height, left : left + width]
    # Antialiased, as scaling is where nothing is drawn.
    size = resolved(options.size)
    seen = interpolate(part, (size, size), mode="bilinear", antialias=True)
    seen = seen.flip(-1) if rng.random() < options.flip else seen
    return jitter_colour(seen[None], options.colour, rng)[0]


def draw_box(rows: int, columns: int, min_crop_area: float, rng: np.random.Generator) -> Box:
    """A random part of a picture: torchvision's `RandomResizedCrop`, from a generator that is given.

    Args:
        rows: of the picture.
        columns: of it.
        min_crop_area: least share of its area.
        rng: the only source of chance.
    """
    for _ in range(TRIES):
        area = rows * columns * rng.uniform(min_crop_area, 1)
        aspect = math.exp(rng.uniform(math.log(NARROWEST), math.log(WIDEST)))
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < height <= rows and 0 < width <= columns:
            return int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1)), height, width
    height = min(rows, max(1, round(columns / NARROWEST)))
    width = min(columns, max(1, round(rows * WIDEST)))
    return (rows - height) // 2, (columns - width) // 2, height, width
