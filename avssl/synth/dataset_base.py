"""What a made-up world is: scenes by number, and how they look, sound and are told."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.media.video_writer import SLOWEST
from avssl.spatial.ambisonics import intensity_direction
from avssl.synth.scene import Format


class Keyed(Protocol):
    """All that worlds have in common about their scenes."""

    @property
    def key(self) -> str:
        """Names the scene in its world."""
        ...

    def __hash__(self) -> int:
        """Tells it from others while it is kept in mind."""
        ...


SceneDescription = TypeVar("SceneDescription", bound=Keyed)
"""The kind of scenes of a world."""


@dataclass(frozen=True)
class SyntheticDataset(ABC, Generic[SceneDescription]):
    """A kind of scenes and how they are written down; pickled to the processes that render them."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever the same seed gives another scene."""
    layout: ClassVar[str]
    """Of the sound, as the manifest calls it."""
    apart: ClassVar[bool] = False
    """Whether the sources are written one by one too."""
    seed: int
    form: Format

    @abstractmethod
    def describe(self, index: int) -> SceneDescription:
        """Scene number `index`: a pure function of it and of the seed."""

    @abstractmethod
    def audio(self, scene: SceneDescription) -> NDArray[np.float32]:
        """What is heard, float32 `(channels, samples)`."""

    @abstractmethod
    def frames(self, scene: SceneDescription) -> Iterator[NDArray[np.uint8]]:
        """What is seen, uint8 RGB `(height, width, 3)` each."""

    @abstractmethod
    def truth(self, scene: SceneDescription) -> pa.Table:
        """What is where: one row a frame and object, frames first."""

    def sources(self, scene: SceneDescription) -> NDArray[np.float32]:
        """What each source gives to the sound, before it is heard from anywhere: float32 `(sources, samples)`."""
        raise NotImplementedError(f"{self.name} does not keep its sources apart")

    def prepare(self, out: Path, progress: bool) -> None:
        """Make what all scenes share, before the first is rendered.

        Args:
            out: folder of the world.
            progress: whether a bar shows how far it is.
        """

    def direction(self, audio: NDArray[np.float32], sample_rate: int) -> tuple[float, float, float]:
        """Of the active intensity of what was written: azimuth, elevation (degrees), diffuseness; nan but for ambiX."""
        if self.layout != "ambix":
            return math.nan, math.nan, math.nan
        azimuth, elevation, diffuseness = intensity_direction(torch.from_numpy(audio[:4]), sample_rate)
        return math.degrees(azimuth), math.degrees(elevation), float(diffuseness)

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        return {"world": self.name, "version": self.version, "seed": self.seed} | asdict(self.form)

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """What is asked of the numbers: whether it is met, and what it is."""
        form = self.form
        yield 0.25 <= form.seconds < math.inf, f"seconds is at least 0.25, not {form.seconds}"
        yield self.seed >= 0, f"seed is not negative, this is {self.seed}"
        yield SLOWEST <= form.frame_rate < math.inf, f"frame_rate is at least {SLOWEST}, not {form.frame_rate}"
        yield form.sample_rate >= 16000, f"sample_rate is at least 16000 Hz, not {form.sample_rate}"


def even_sides(width: int, height: int) -> Iterator[tuple[bool, str]]:
    """Demands of a world on its pictures: sides that H.264 can take, and something to see."""
    for name, size in (("width", width), ("height", height)):
        yield size >= 32 and size % 2 == 0, f"{name} is an even number from 32 up, not {size}"


def require(name: str, constraints: Iterable[tuple[bool, str]]) -> None:
    """See that what is asked of a world's numbers is met.

    Raises:
        InputError: something is not.
    """
    for met, demand in constraints:
        if not met:
            raise InputError(f"{name}: {demand}")
