"""Benchmark of perspective crops: one remap for all views of a frame, against the published form and `grid_sample`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from avssl.bench.case import Case, Result, Size, largest
from avssl.spatial.viewport import crop, remap_frames, viewport_map

FOV = math.pi / 2
"""Radians; field of view of a crop."""
COARSE = 16
"""Pixels between random colours: OpenCV rounds positions to 1/32 pixel, visible on pixel noise."""


def cases(size: Size, folder: Path) -> list[Case]:
    """Crops of one clip of AVSA, from frames as a decoder gives them: colour innermost in memory."""
    rng = np.random.default_rng(0)
    planes = smooth_frames(size.frames, size.height, rng)
    frames = planes.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    azimuth, elevation = rng.uniform(-math.pi, math.pi, size.views), rng.uniform(-0.4, 0.4, size.views)
    directions = torch.from_numpy(np.stack([azimuth, elevation], 1).astype(np.float32))
    maps = viewport_map(size.side, size.side, size.height, 2 * size.height, azimuth, elevation, fov=FOV)

    def ours() -> Result:
        return (crop(frames, directions, FOV, size.side),)

    def cached() -> Result:
        return (remap_frames(frames, maps, size.side),)

    def published() -> Result:
        return (gathered_crops(frames, directions, FOV, size.side),)

    def grids() -> Result:
        return (grid_crops(planes, directions, FOV, size.side),)

    work = f"{size.views} crops of {size.side} x {size.side}, {size.frames} frames of {2 * size.height} x {size.height}"
    case = partial(Case, tolerance=0.02, distance=largest, work=work)
    return [
        case("crops", "as published: numpy, four neighbours a pixel", ours, published, aim=10.0),
        case("crops", "torch grid_sample, one a crop and frame", ours, grids),
        case("crops-cached", "as published: numpy, four neighbours a pixel", cached, published, aim=20.0),
    ]


def gathered_crops(frames: Tensor, directions: Tensor, fov: float, side: int) -> Tensor:
    """Square crops as described for AVSA: four neighbours of a pixel gathered and weighed, a crop and frame at a time.

    Unlike the published code, which turns frames by whole pixels, sub-pixel in azimuth as well.

    Args:
        frames: as in `grid_crops`.
        directions: as there.
        fov: as there.
        side: pixels.

    Returns:
        uint8 `(views, time, 3, side, side)`.
    """
    images = frames.permute(0, 2, 3, 1).numpy()
    views = []
    for azimuth, elevation in directions.tolist():
        longitude, latitude = (each.numpy().astype(np.float64) for each in _angles(azimuth, elevation, fov, side))
        column = (0.5 - longitude / (2 * math.pi)) * images.shape[2] - 0.5
        row = (0.5 - latitude / math.pi) * images.shape[1] - 0.5
        views.append(np.stack([_gathered(image, row, column) for image in images]))
    return torch.from_numpy(np.stack(views)).permute(0, 1, 4, 2, 3)


def _gathered(image: NDArray[np.uint8], row: NDArray[np.float64], column: NDArray[np.float64]) -> NDArray[np.uint8]:
    height, width, _ = image.shape
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    below, right = (row - top)[..., None], (column - left)[..., None]
    pixels = image.reshape(-1, 3)
    parts = []
    for down, weight in ((0, 1 - below), (1, below)):
        line = np.clip(top + down, 0, height - 1) * width
        parts += [
            np.take(pixels, line + (left + step) % width, axis=0) * (weight * share)
            for step, share in ((0, 1 - right), (1, right))
        ]
    crop: NDArray[np.uint8] = np.round(sum(parts)).astype(np.uint8)
    return crop


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
    longitude, latitude = _angles(azimuth, elevation, fov, side)
    return torch.stack([-longitude / math.pi * width / (width + 2), -latitude * 2 / math.pi], -1)


def _angles(azimuth: float, elevation: float, fov: float, side: int) -> tuple[Tensor, Tensor]:
    """Longitude and latitude of the pixels of a view, `(side, side)`, radians."""
    offset = math.tan(fov / 2) * (1 - (2 * torch.arange(side) + 1) / side)
    left, up = offset[None, :], offset[:, None]
    forward = math.cos(elevation) - up * math.sin(elevation)
    height = math.sin(elevation) + up * math.cos(elevation)
    longitude = azimuth + torch.atan2(left.expand(side, side), forward.expand(side, side))
    longitude = torch.remainder(longitude + math.pi, 2 * math.pi) - math.pi
    return longitude, torch.atan2(height.expand(side, side), torch.hypot(forward, left))


def smooth_frames(count: int, height: int, rng: np.random.Generator) -> Tensor:
    """Panoramas uint8 `(count, 3, height, 2 * height)` of smooth random colours, continuous across the seam."""
    few = rng.integers(0, 256, (count, height // COARSE, height // COARSE, 3), dtype=np.uint8)
    halves = np.stack([cv2.resize(frame, (height, height)) for frame in few])
    whole = np.concatenate([halves, halves[:, :, ::-1]], 2)
    return torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()
