"""Benchmark of perspective crops: one remap for all views and frames, against torch's `grid_sample`."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from avssl.bench.case import Case, Result, Size, largest
from avssl.spatial.viewport import crop

FOV = math.pi / 2
"""Radians; field of view of a crop."""
COARSE = 16
"""Pixels between random colours: OpenCV rounds positions to 1/32 pixel, visible on pixel noise."""


def cases(size: Size, folder: Path) -> list[Case]:
    """Crops of one clip of AVSA."""
    rng = np.random.default_rng(0)
    frames = _frames(size, rng)
    azimuth, elevation = rng.uniform(-math.pi, math.pi, size.views), rng.uniform(-0.4, 0.4, size.views)
    directions = torch.from_numpy(np.stack([azimuth, elevation], 1).astype(np.float32))

    def ours() -> Result:
        return (crop(frames, directions, FOV, size.side),)

    def peer() -> Result:
        return (grid_crops(frames, directions, FOV, size.side),)

    return [Case("crops", "torch grid_sample, one a crop and frame", ours, peer, 0.02, largest)]


def grid_crops(frames: Tensor, directions: Tensor, fov: float, side: int) -> Tensor:
    """Square crops, one call of `grid_sample` for each crop and frame.

    Args:
        frames: uint8 `(time, 3, height, width)`, equirectangular.
        directions: `(views, 2)`, azimuth and elevation, radians.
        fov: field of view, radians.
        side: pixels.

    Returns:
        uint8 `(views, time, 3, side, side)`.
    """
    joined = F.pad(frames.float(), (1, 1, 0, 0), mode="circular")
    views = []
    for azimuth, elevation in directions.tolist():
        grid = _grid(azimuth, elevation, fov, side, frames.shape[-1])[None]
        crops = [
            F.grid_sample(frame[None], grid, padding_mode="border", align_corners=False)[0].round().to(torch.uint8)
            for frame in joined
        ]
        views.append(torch.stack(crops))
    return torch.stack(views)


def _grid(azimuth: float, elevation: float, fov: float, side: int, width: int) -> Tensor:
    """Sampling grid of a view, in `grid_sample` coordinates of a frame padded by one column on either side."""
    offset = math.tan(fov / 2) * (1 - (2 * torch.arange(side) + 1) / side)
    left, up = offset[None, :], offset[:, None]
    forward = math.cos(elevation) - up * math.sin(elevation)
    height = math.sin(elevation) + up * math.cos(elevation)
    longitude = azimuth + torch.atan2(left.expand(side, side), forward.expand(side, side))
    longitude = torch.remainder(longitude + math.pi, 2 * math.pi) - math.pi
    latitude = torch.atan2(height.expand(side, side), torch.hypot(forward, left))
    return torch.stack([-longitude / math.pi * width / (width + 2), -latitude * 2 / math.pi], -1)


def _frames(size: Size, rng: np.random.Generator) -> Tensor:
    """Smooth random colours, continuous across the seam."""
    height = size.height
    few = rng.integers(0, 256, (size.frames, height // COARSE, height // COARSE, 3), dtype=np.uint8)
    halves = np.stack([cv2.resize(frame, (height, height)) for frame in few])
    whole = np.concatenate([halves, halves[:, :, ::-1]], 2)
    return torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()
