"""What is compared: the same work done twice, and how near the two results must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class Size:
    """How much work the cases are; the defaults are those of a training run."""

    height: int = 224
    """Rows of a panorama; twice as many columns."""
    views: int = 4
    """Crops of a clip."""
    side: int = 112
    """Pixels of a crop."""
    frames: int = 8
    """Pictures of a clip."""
    clips: int = 64
    """Sounds in a batch of features and rotations."""
    samples: int = 24000
    """Of such a sound, at 24 kHz."""
    batch: int = 256
    """Pairs of embeddings."""
    width: int = 128
    """Numbers of an embedding."""
    detector_height: int = 512
    """Rows of a panorama that a detector sees; twice as many columns."""
    source_height: int = 960
    """Rows of a source video; twice as many columns."""
    video_seconds: float = 3.0
    """Length of the source video."""
    audio_seconds: float = 10.0
    """Length of the sound file; that of YT-360's clips."""


@dataclass(frozen=True)
class Case:
    """One row of the table. Both sides take nothing and return tensors of the same shapes."""

    name: str
    peer_name: str
    ours: Callable[[], Result]
    peer: Callable[[], Result]
    tolerance: float
    """Largest distance between the two results."""
    distance: Callable[[Tensor, Tensor], float]

    def difference(self) -> float:
        """Run both sides once and compare what they return.

        Returns:
            The largest distance between two tensors of the results.

        Raises:
            RuntimeError: they differ by more than the tolerance: their times must not be compared.
        """
        pairs = list(zip(self.ours(), self.peer(), strict=True))
        shapes = [(tuple(mine.shape), tuple(other.shape)) for mine, other in pairs]
        if any(mine != other for mine, other in shapes):
            raise RuntimeError(f"{self.name}: results of other shapes than those of {self.peer_name}: {shapes}")
        found = max(self.distance(mine.float(), other.float()) for mine, other in pairs)
        # Written so that nan, too, is refused.
        if not found <= self.tolerance:
            raise RuntimeError(
                f"{self.name}: differs from {self.peer_name} by {found:.2g}, at most {self.tolerance:.2g} expected"
            )
        return found


def largest(mine: Tensor, other: Tensor) -> float:
    """Largest difference, over the largest value."""
    return float((mine - other).abs().max() / other.abs().max())


def brightness(mine: Tensor, other: Tensor) -> float:
    """Root mean square of the difference in luma, over the other's standard deviation; RGB `(..., 3, h, w)`."""
    weights = mine.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    mine, other = ((image * weights).sum(-3) for image in (mine, other))
    return float((mine - other).square().mean().sqrt() / other.std())
