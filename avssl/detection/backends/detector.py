"""What every detector does, whichever library it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Detections(NamedTuple):
    """The objects of one picture."""

    edges: NDArray[np.float32]
    """`(N, 4)` left, top, right and bottom in pixels."""
    scores: NDArray[np.float32]
    """`(N,)` in 0..1."""
    labels: list[str]
    """What each was taken for."""


class Detector(ABC):
    """Finds objects in pictures."""

    name: str
    """Of the model."""
    sha256: str
    """Of its weights."""
    side = 640
    """Pixels of the square that a picture is best scaled to."""
    views = "viewports"
    """How it is best shown a panorama: as `viewports`, or whole (`equirect`)."""

    @abstractmethod
    def find(self, frames: NDArray[np.uint8], min_score: float) -> list[Detections]:
        """Look at pictures of one size.

        Args:
            frames: `(pictures, height, width, 3)`, RGB; neither side longer than `side`.
            min_score: objects of a lower score are left out.

        Returns:
            What is found in each.
        """
