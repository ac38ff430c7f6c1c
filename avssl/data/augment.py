"""Colour jitter of frames and level jitter of audio."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from avssl.data.clip_options import Colour

GREY = torch.tensor([0.299, 0.587, 0.114])

# Rows Y, I, Q of NTSC's colour space; hue is an angle in its I, Q plane.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])

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
    draws = torch.from_numpy(rng.uniform(-1, 1, (4, count))).float().to(frames.device)
    if strength == NO_JITTER:
        return frames
    bright, contrast, saturate = (
        1 + each * draw
        for each, draw in zip((strength.brightness, strength.contrast, strength.saturation), draws, strict=False)
    )
    pixels = frames.reshape(count, time, 3, height * width).float()
    grey = pixels.mean((1, 3)) @ GREY.to(frames.device)
    matrix = (bright * contrast)[:, None, None] * _turn(strength.hue * draws[3]) @ _saturate(saturate)
    offset = (1 - contrast) * bright * grey
    changed: Tensor = (matrix[:, None] @ pixels).add_(offset[:, None, None, None])
    rounded: Tensor = changed.add_(0.5).clamp_(0, 255).to(torch.uint8)
    return rounded.view_as(frames)


def jitter_level(audio: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Multiply audio by a random gain in 1 plus or minus `strength`, and clip it to full scale as AVSA does."""
    return (audio * rng.uniform(1 - strength, 1 + strength)).clamp_(-1, 1)


def _saturate(factor: Tensor) -> Tensor:
    """`(crops, 3, 3)`: the distance of a colour from its grey times `factor`."""
    factor = factor[:, None, None]
    return factor * torch.eye(3).to(factor) + (1 - factor) * GREY.to(factor).expand(3, 3)


def _turn(turns: Tensor) -> Tensor:
    """`(crops, 3, 3)`: hue rotation in turns of the circle; luma is unchanged."""
    cosine, sine = torch.cos(2 * math.pi * turns), torch.sin(2 * math.pi * turns)
    zero, one = torch.zeros_like(turns), torch.ones_like(turns)
    rows = [one, zero, zero, zero, cosine, -sine, zero, sine, cosine]
    to_yiq = YIQ.to(turns)
    turned: Tensor = torch.linalg.solve(to_yiq, torch.stack(rows, 1).view(-1, 3, 3) @ to_yiq)
    return turned
