"""Interface of object detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Detections(NamedTuple):
    """Objects of one image."""

    edges: NDArray[np.float32]
    """`(N, 4)` left, top, right and bottom in pixels."""
    scores: NDArray[np.float32]
    """`(N,)` in 0..1."""
    labels: list[str]
    """Class name of each object."""


class Detector(ABC):
    """Detects objects in images."""

    name: str
    """Name of the model."""
    sha256: str
    """Hash of its weights."""
    side = 640
    """Input size: pixels of the square that images are scaled to."""
    views = "viewports"
    """Default input of panoramas: `viewports`, or whole (`equirect`)."""

    @abstractmethod
    def find(self, frames: NDArray[np.uint8], min_score: float) -> list[Detections]:
        """Process images of one size.

        Args:
            frames: `(images, height, width, 3)`, RGB; neither side longer than `side`.
            min_score: lowest score of detections.

        Returns:
            Objects of each image.
        """
