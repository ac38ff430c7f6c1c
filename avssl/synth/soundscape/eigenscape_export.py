"""Export of soundscapes as recordings: the base class, and the layout of EigenScape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from avssl.media.wav_writer import write_wav
from avssl.synth.soundscape.eigenscape_classes import AMBIENCES, describe
from avssl.synth.soundscape.sampler import SoundscapeSampler


@dataclass(frozen=True)
class Tree(ABC):
    """A data set's files, and all that they depend on."""

    layout: ClassVar[str]
    class_samplers: ClassVar[dict[str, Callable[[SoundscapeSampler], None]]]
    """Sampler of each class."""
    marks: ClassVar[tuple[str, ...]]
    """Files that identify a written tree."""
    least: ClassVar[int] = 1
    """Recordings of each class."""
    seed: int
    seconds: float
    order: int
    """Order of the ambisonics."""
    sample_rate: int
    """Hz."""

    @abstractmethod
    def files(self, label: str, number: int) -> list[str]:
        """Files of a location of a class, numbered from 1; paths relative to the root."""

    @abstractmethod
    def record(self, out: Path, label: str, number: int) -> None:
        """Write what is missing of a place of a class."""

    def lists(self, classes: Sequence[str], places: int) -> dict[str, str]:
        """Text files beside the recordings, by their paths relative to the root."""
        return {}

    def settings(self) -> dict[str, object]:
        """All that the recordings depend on."""
        return {"layout": self.layout} | asdict(self)

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Constraints on the numbers: whether one is met, and its text."""
        yield self.seed >= 0, f"seed is not negative, this is {self.seed}"
        yield 1 <= self.seconds <= 3600, f"seconds lie in 1..3600, not {self.seconds}"
        yield 1 <= self.order <= 7, f"order lies in 1..7, not {self.order}"
        yield 16000 <= self.sample_rate <= 192000, f"sample_rate lies in 16000..192000 Hz, not {self.sample_rate}"


class EigenScape(Tree):
    """`{Class}/{Class}.{N}.wav`, ambisonics of order 4 of the soundscape."""

    layout = "eigenscape"
    class_samplers = AMBIENCES
    marks = tuple(AMBIENCES)

    def files(self, label: str, number: int) -> list[str]:
        """One recording."""
        return [f"{label}/{label}.{number}.wav"]

    def record(self, out: Path, label: str, number: int) -> None:
        """A few seconds at a time."""
        place = describe(AMBIENCES, label, self.seed, number, self.seconds)
        blocks = place.blocks(self.seconds, self.sample_rate, self.order)
        (name,) = self.files(label, number)
        write_wav(out / name, blocks, self.sample_rate, "PCM_24")
