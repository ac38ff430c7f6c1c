"""Benchmark cases: two implementations of the same computation, and the tolerance between their results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Result = tuple[Tensor, ...]


@dataclass(frozen=True)
class Size:
    """Input sizes of the cases; the defaults are those of a training run."""

    height: int = 224
    """Rows of a panorama; twice as many columns."""
    views: int = 4
    """Crops of a clip."""
    side: int = 112
    """Pixels of a crop."""
    frames: int = 8
    """Frames of a clip."""
    clips: int = 64
    """Clips in a batch for features and rotation."""
    samples: int = 24000
    """Samples of such a clip, at 24 kHz."""
    batch: int = 256
    """Pairs of embeddings in a batch."""
    width: int = 128
    """Embedding dimension."""
    detector_height: int = 512
    """Rows of a panorama for the detector; twice as many columns."""
    source_height: int = 960
    """Rows of a source video; twice as many columns."""
    video_seconds: float = 3.0
    """Length of the source video."""
    audio_seconds: float = 10.0
    """Length of the audio file, as of the clips of YT-360."""


@dataclass(frozen=True)
class Case:
    """Comparison of two functions without arguments that return tensors of the same shapes."""

    name: str
    peer_name: str
    ours: Callable[[], Result]
    peer: Callable[[], Result]
    tolerance: float
    """Largest distance between the two results."""
    distance: Callable[[Tensor, Tensor], float]
    seconds: float = 0.0
    """Seconds of media that one run processes, for its speed in real time; 0: the case has none."""

    def difference(self) -> float:
        """Run both sides once and compare the results.

        Returns:
            Largest distance between tensors of the results.

        Raises:
            RuntimeError: the results differ by more than the tolerance, so that times are not comparable.
        """
        pairs = list(zip(self.ours(), self.peer(), strict=True))
        shapes = [(tuple(mine.shape), tuple(other.shape)) for mine, other in pairs]
        if any(mine != other for mine, other in shapes):
            raise RuntimeError(f"{self.name}: expected results of the shapes of {self.peer_name}, got {shapes}")
        difference = max(self.distance(mine.float(), other.float()) for mine, other in pairs)
        # Negated, so that nan is an error too.
        if not difference <= self.tolerance:
            raise RuntimeError(
                f"{self.name}: expected a difference of at most {self.tolerance:.2g} to {self.peer_name}, "
                f"got {difference:.2g}"
            )
        return difference


def largest(mine: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((mine - other).abs().max() / other.abs().max())


def brightness(mine: Tensor, other: Tensor) -> float:
    """Root mean square difference of luma, relative to the other's standard deviation; RGB `(..., 3, h, w)`."""
    weights = mine.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    mine, other = ((image * weights).sum(-3) for image in (mine, other))
    return float((mine - other).square().mean().sqrt() / other.std())
