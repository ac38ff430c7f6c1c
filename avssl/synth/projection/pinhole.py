"""Pinhole camera that faces the front: perspective projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.lens import Box, Floats
from avssl.synth.projection.tangent_plane import blend, look_up

NEAREST = 0.05
"""Minimum forward component of a direction for projection."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels; hashable."""

    width: int
    height: int
    fov: float
    """Radians, horizontally."""

    @property
    def focal(self) -> float:
        """Distance of the picture from the pinhole, pixels."""
        return float(self.width / 2 / np.tan(self.fov / 2))

    @property
    def around(self) -> float:
        """Columns that a full turn would take at the scale of the picture's middle."""
        return 2 * np.pi * self.focal

    def rays(self) -> NDArray[np.float32]:
        """Unit vectors through the pixel centres `(height, width, 3)`."""
        rays = self._ahead(range(self.height), range(self.width))
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True), np.float32)

    def stamp(
        self, frame: NDArray[np.uint8], image: NDArray[np.uint8], basis: Floats, tangent: float, light: float = 1.0
    ) -> None:
        """Lay an object's picture over a frame, in place; see `avssl.synth.projection.tangent_plane.stamp`."""
        rows, columns = self._reach(basis, tangent)
        if not rows or not columns:
            return
        right, up, forward = np.moveaxis(self._ahead(rows, columns) @ basis.T, -1, 0)
        scale = image.shape[0] / 2 / tangent
        inverse = np.where(forward > NEAREST, scale / np.maximum(forward, NEAREST), 1e6)
        across, above = ((each * inverse).astype(np.float32) for each in (right, up))
        place = frame[rows.start : rows.stop, columns.start : columns.stop]
        blend(place, *look_up(image, across, above, light))

    def box(self, rays: Floats, azimuth: Floats) -> Box:
        """Around the part of an outline that is in the picture; empty, at an edge, where none is."""
        x, y = self.project(rays)
        x, y = np.clip(x, 0, 1), np.clip(y, 0, 1)
        return x.min(1), y.min(1), x.max(1), y.max(1)

    def holds(self, rays: Floats) -> NDArray[np.bool_]:
        """Whether directions `(..., 3)` are in the picture."""
        x, y = self.project(rays)
        return np.asarray((rays[..., 0] > NEAREST) & (np.abs(x - 0.5) <= 0.5) & (np.abs(y - 0.5) <= 0.5))

    def project(self, rays: Floats) -> tuple[Floats, Floats]:
        """Where directions `(..., 3)` fall, x to the right and y down, each `(...)`, in 0..1 of the picture."""
        ahead = np.maximum(rays[..., 0], NEAREST) / self.focal
        return 0.5 - rays[..., 1] / ahead / self.width, 0.5 - rays[..., 2] / ahead / self.height

    def _ahead(self, rows: range, columns: range) -> Floats:
        """Vectors through pixel centres `(rows, columns, 3)`, 1 long ahead."""
        left = (self.width / 2 - np.array(columns) - 0.5) / self.focal
        up = (self.height / 2 - np.array(rows) - 0.5) / self.focal
        return np.stack(np.broadcast_arrays(1.0, left[None], up[:, None]), axis=-1)

    def _reach(self, basis: Floats, tangent: float) -> tuple[range, range]:
        """Rows and columns that an object may touch, from the corners of its picture."""
        signs = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)]) * tangent
        corners = basis[2] + signs @ basis[:2]
        if (corners[:, 0] <= NEAREST).any():
            ahead = basis[2, 0] > -np.sin(np.arctan(tangent))
            return (range(self.height), range(self.width)) if ahead else (range(0), range(0))
        x, y = self.project(corners)
        return _span(y * self.height, self.height), _span(x * self.width, self.width)


def _span(places: Floats, size: int) -> range:
    """Whole pixels of a side that some places on it enclose."""
    return range(max(0, int(np.floor(places.min()))), min(size, int(np.ceil(places.max()))))
