"""Worlds whose scenes are actors put on a flat canvas."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

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
        return _heard(self, scene)[: self.channels]

    def sources(self, scene: Told) -> NDArray[np.float32]:
        """What follows them."""
        return _heard(self, scene)[self.channels :]

    def demands(self) -> Iterator[tuple[bool, str]]:
        """Those of every world, and sides that H.264 can take."""
        yield from super().demands()
        yield from even_sides(self.form.width, self.form.height)


@lru_cache(maxsize=1)
def _heard(world: CanvasWorld[Any], scene: Any) -> NDArray[np.float32]:
    """What is heard in the last scene asked for: its sound and its sources are written one after the other."""
    heard = world.heard(scene)
    heard.setflags(write=False)
    return heard
