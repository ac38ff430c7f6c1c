"""Colour jitter of frames and level jitter of audio."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.data.clip_options import Colour

GREY = np.array([0.299, 0.587, 0.114])

# Rows Y, I, Q of NTSC's colour space; hue is an angle in its I, Q plane.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# A hue rotation by an angle a is the sum of these three matrices, times 1, cos a, sin a.
HUE = np.linalg.solve(
    YIQ,
    np.array([[[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    @ YIQ,
)

NO_JITTER = Colour(0.0, 0.0, 0.0, 0.0)


def jitter_colour(frames: Tensor, strength: Colour, rng: np.random.Generator) -> Tensor:
    """Jitter the colours of each crop, equally in all its frames.

    Brightness, contrast, saturation and hue in this order, as one affine map of RGB; hue turns in the YIQ plane. One
    pass over the pixels takes a quarter of the time of torchvision's four, which would be the longest step of a loader.

    Args:
        frames: uint8 `(crops, time, 3, height, width)`.
        strength: ranges of brightness, contrast, saturation and hue.
        rng: random number generator.

    Returns:
        uint8 of the same shape; without any strength the frames themselves.
    """
    count, time, _, height, width = frames.shape
    draws = rng.uniform(-1, 1, (4, count))
    if strength == NO_JITTER:
        return frames
    ranges = strength.brightness, strength.contrast, strength.saturation, strength.hue
    matrix, grey_offset = _affine_maps(draws * np.array(ranges)[:, None])
    pixels = frames.reshape(count, time, 3, height * width).float()
    offset = (pixels.mean((1, 3)) * grey_offset.to(frames.device)).sum(1) + 0.5
    changed: Tensor = (matrix.to(frames.device)[:, None] @ pixels).add_(offset[:, None, None, None])
    return changed.clamp_(0, 255).to(torch.uint8).view_as(frames)


def jitter_level(audio: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Multiply audio by a random gain in 1 plus or minus `strength`, and clip it to full scale as AVSA does."""
    return (audio * rng.uniform(1 - strength, 1 + strength)).clamp_(-1, 1)


def _affine_maps(changes: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Matrices `(crops, 3, 3)` of RGB, and weights `(crops, 3)` of the mean colour in what is added.

    Args:
        changes: `(4, crops)`; of brightness, contrast and saturation relative to 1, and of hue in turns of the circle.
    """
    bright, contrast, saturation = 1 + changes[:3, :, None, None]
    angle = 2 * np.pi * changes[3]
    # The hue leaves luma unchanged; saturation multiplies the distance of a colour from its grey.
    turn = np.tensordot(np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], 1), HUE, 1)
    matrix = bright * contrast * turn @ (saturation * np.eye(3) + (1 - saturation) * GREY)
    grey_offset = ((1 - contrast) * bright)[:, 0] * GREY
    return torch.from_numpy(matrix).float(), torch.from_numpy(grey_offset).float()
