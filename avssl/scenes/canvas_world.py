"""Worlds whose scenes are actors put on a flat canvas."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from avssl.scenes.actors import Company
from avssl.scenes.canvas import Canvas
from avssl.scenes.world import Told, World, even_sides


@dataclass(frozen=True)
class CanvasWorld(World[Told]):
    """Flat pictures of actors, whose own sounds are kept too."""

    apart: ClassVar[bool] = True
    channels: ClassVar[int]
    """Of the sound."""
    form: Canvas
    company: Company

    @abstractmethod
    def heard(self, scene: Told) -> NDArray[np.float32]:
        """The sound and after it the sources at the level that they have in it: `(channels + sources, samples)`."""

    def prepare(self, out: Path, progress: bool) -> None:
        """Cut the sources out."""
        self.company.prepare(self.form, progress)

    def sound(self, scene: Told) -> NDArray[np.float32]:
        """The first channels of what is heard."""
        return self.heard(scene)[: self.channels]

    def sources(self, scene: Told) -> NDArray[np.float32]:
        """What follows them."""
        return self.heard(scene)[self.channels :]

    def demands(self) -> Iterator[tuple[bool, str]]:
        """Those of every world, and sides that H.264 can take."""
        yield from super().demands()
        yield from even_sides(self.form.width, self.form.height)
