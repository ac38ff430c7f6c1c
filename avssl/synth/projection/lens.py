"""Lenses: view direction of each pixel, and projection of directions to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.tangent_plane import stamp
from avssl.synth.trajectories import unit_vector

Floats = NDArray[np.float64]
Box = tuple[Floats, Floats, Floats, Floats]
"""Left, top, right, bottom `(frames,)`, in 0..1 of the image from its left and top edge."""


class Lens(Protocol):
    """From directions to pixels; hashable."""

    @property
    def width(self) -> int:
        """Columns."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def around(self) -> float:
        """Columns that a full turn would take at the scale of the picture's middle."""
        ...

    def __hash__(self) -> int: ...

    def rays(self) -> NDArray[np.float32]:
        """Unit vectors through the pixel centres `(height, width, 3)`."""
        ...

    def stamp(
        self, frame: NDArray[np.uint8], image: NDArray[np.uint8], basis: Floats, tangent: float, light: float = 1.0
    ) -> None:
        """Lay an object's picture over a frame, in place; see `avssl.synth.projection.tangent_plane.stamp`."""
        ...

    def box(self, rays: Floats, azimuth: Floats) -> Box:
        """Around the outline of an object.

        Args:
            rays: unit vectors `(frames, points, 3)` to its outline.
            azimuth: of its centre `(frames,)`, radians, not wrapped.
        """
        ...

    def holds(self, rays: Floats) -> NDArray[np.bool_]:
        """Whether directions `(..., 3)` are in the picture."""
        ...


@dataclass(frozen=True)
class Panorama:
    """All directions, equirectangular: azimuth along the columns, elevation along the rows."""

    width: int

    @property
    def height(self) -> int:
        """Rows: half as many as columns."""
        return self.width // 2

    @property
    def around(self) -> float:
        """The picture is a full turn wide."""
        return self.width

    def rays(self) -> NDArray[np.float32]:
        """Unit vectors through the pixel centres `(height, width, 3)`."""
        azimuth = (0.5 - (np.arange(self.width) + 0.5) / self.width) * 2 * np.pi
        elevation = (0.5 - (np.arange(self.height) + 0.5) / self.height) * np.pi
        return unit_vector(*np.broadcast_arrays(azimuth[None], elevation[:, None])).astype(np.float32)

    def stamp(
        self, frame: NDArray[np.uint8], image: NDArray[np.uint8], basis: Floats, tangent: float, light: float = 1.0
    ) -> None:
        """Lay an object's picture over a frame, in place; right at the seam and at the poles."""
        stamp(frame, image, basis, tangent, light)

    def box(self, rays: Floats, azimuth: Floats) -> Box:
        """Around an outline; `left` lies in 0..1, `right` exceeds 1 where the box crosses the seam.

        Objects stay clear of the poles (`paths.HIGHEST`), so that a box has a left and a right.
        """
        around = np.arctan2(rays[..., 1], rays[..., 0]) - azimuth[:, None]
        around = (around + np.pi) % (2 * np.pi) - np.pi
        height = np.arcsin(rays[..., 2])
        left = (0.5 - (azimuth + around.max(1)) / (2 * np.pi)) % 1.0
        right = left + (around.max(1) - around.min(1)) / (2 * np.pi)
        return left, 0.5 - height.max(1) / np.pi, right, 0.5 - height.min(1) / np.pi

    def holds(self, rays: Floats) -> NDArray[np.bool_]:
        """Every direction is in the picture."""
        return np.ones(rays.shape[:-1], bool)
