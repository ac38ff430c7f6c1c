"""Augmentation of training clips: random crop, mirroring and colour jitter, the same for all frames of a clip."""

# T time, H and W rows and columns

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from avssl.data.augment import jitter_colour
from avssl.models.geometry import resolved
from avssl_downstream.action.options import ActionOptions

MIN_ASPECT, MAX_ASPECT = 3 / 4, 4 / 3
"""Range of the crop's width over height."""
MAX_ATTEMPTS = 10

Box = tuple[int, int, int, int]
"""Top, left, height, width."""


def augment_clip(frames: Tensor, options: ActionOptions, rng: np.random.Generator) -> Tensor:
    """Crop, scale, mirror and change the colours of a clip.

    Args:
        frames: uint8 `(T, 3, H, W)`.
        options: output size, smallest crop, probability of mirroring, colour jitter.
        rng: the only source of randomness.

    Returns:
        uint8 `(T, 3, size, size)`.
    """
    top, left, height, width = sample_crop_box(frames.shape[-2], frames.shape[-1], options.min_crop_area, rng)
    crop = frames[..., top : top + height, left : left + width]
    # Antialiased, as frames of test clips are.
    size = resolved(options.size)
    scaled = interpolate(crop, (size, size), mode="bilinear", antialias=True)
    scaled = scaled.flip(-1) if rng.random() < options.flip else scaled
    return jitter_colour(scaled[None], options.colour, rng)[0]


def sample_crop_box(rows: int, columns: int, min_crop_area: float, rng: np.random.Generator) -> Box:
    """Random crop of a frame: torchvision's `RandomResizedCrop`, on a generator of the caller.

    Args:
        rows: of the frame.
        columns: of the frame.
        min_crop_area: smallest share of the frame's area.
        rng: the only source of randomness.
    """
    for _ in range(MAX_ATTEMPTS):
        area = rows * columns * rng.uniform(min_crop_area, 1)
        aspect = math.exp(rng.uniform(math.log(MIN_ASPECT), math.log(MAX_ASPECT)))
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < height <= rows and 0 < width <= columns:
            return int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1)), height, width
    height = min(rows, max(1, round(columns / MIN_ASPECT)))
    width = min(columns, max(1, round(rows * MAX_ASPECT)))
    return (rows - height) // 2, (columns - width) // 2, height, width
