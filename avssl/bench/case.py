"""Rows of the benchmark: two implementations of one computation, a quantity without a peer, or a missing peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

Result = tuple[Tensor, ...]


class DisagreementError(RuntimeError):
    """The two sides of a case give different results, so that their times are not comparable."""


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
    large_batch: int = 4096
    """Pairs in a large batch."""
    largest_batch: int = 32768
    """Pairs in a batch whose similarities do not fit into memory at once."""
    width: int = 128
    """Embedding dimension."""
    tower_clips: int = 8
    """Clips of a pass through the video tower of the paper."""
    full_clips: int = 4
    """Clips of a step of `avsa/full`."""
    steps: int = 4
    """Timed training steps, after one to warm up."""
    detector_height: int = 512
    """Rows of a panorama for the detector; twice as many columns."""
    source_height: int = 960
    """Rows of a source video; twice as many columns."""
    video_seconds: float = 3.0
    """Length of the source video."""
    audio_seconds: float = 10.0
    """Length of the audio file, as of the clips of YT-360."""
    scenes: int = 32
    """Synthetic scenes that are rendered, trained on and embedded."""
    processes: bool = True
    """Whether rows that start processes are measured; others have no loader processes without it."""


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
    work: str = ""
    """Work of one run, such as `64 clips of 1 s`."""
    aim: float = 0.0
    """Time of the peer over time of avssl to be reached; 0: none is set."""
    memory: bool = False
    """Whether the peak memory of both sides is measured too."""

    def difference(self) -> float:
        """Run both sides once and compare the results.

        Returns:
            Largest distance between tensors of the results.

        Raises:
            DisagreementError: the results differ by more than the tolerance.
        """
        pairs = list(zip(self.ours(), self.peer(), strict=True))
        shapes = [(tuple(mine.shape), tuple(other.shape)) for mine, other in pairs]
        if any(mine != other for mine, other in shapes):
            raise DisagreementError(f"{self.name}: expected results of the shapes of {self.peer_name}, got {shapes}")
        difference = max(self.distance(mine.float(), other.float()) for mine, other in pairs)
        # Negated, so that nan is an error too.
        if not difference <= self.tolerance:
            raise DisagreementError(
                f"{self.name}: expected a difference of at most {self.tolerance:.2g} to {self.peer_name}, "
                f"got {difference:.2g}"
            )
        return difference


@dataclass(frozen=True)
class Quantity:
    """One or several numbers that a run measures itself; they have no peer."""

    name: str
    measure: Callable[[], dict[str, float]]
    """Runs once: part of the row's name (empty: the row itself) -> value."""
    unit: str
    work: str = ""
    """Work of one run."""
    repeats: int = 0
    """Most runs; 0: as many as of every row."""


@dataclass(frozen=True)
class Absent:
    """A row, or the peer of a row, that cannot be measured here."""

    name: str
    peer_name: str
    reason: str
    failed: bool = False
    """Whether it was measured and the two sides disagree."""


def left_out(name: str) -> Absent:
    """A row that the sizes leave out: it starts processes, or has 0 clips."""
    return Absent(name, "", "left out by the sizes")


Row = Case | Quantity | Absent
Group = Callable[[Size, Path], Sequence[Row]]
"""Makes the rows of a name of `avssl bench --only`, with a folder for files."""


def largest(mine: Tensor, other: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((mine - other).abs().max() / other.abs().max())


def root_mean_square(mine: Tensor, other: Tensor) -> float:
    """Root mean square of the difference, relative to that of the other."""
    return float((mine - other).square().mean().sqrt() / other.square().mean().sqrt())


def brightness(mine: Tensor, other: Tensor) -> float:
    """Root mean square difference of luma, relative to the other's standard deviation; RGB `(..., 3, h, w)`."""
    weights = mine.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    mine, other = ((image * weights).sum(-3) for image in (mine, other))
    return float((mine - other).square().mean().sqrt() / other.std())
