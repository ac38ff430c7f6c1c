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

from avssl.synth.canvas.compositing import Canvas
from avssl.synth.dataset_base import SceneDescription, SyntheticDataset, even_sides
from avssl.synth.sources.source_pool import SourcePool


@dataclass(frozen=True)
class CanvasDataset(SyntheticDataset[SceneDescription]):
    """Flat pictures of actors, whose own sounds are kept too."""

    apart: ClassVar[bool] = True
    channels: ClassVar[int]
    """Of the sound."""
    form: Canvas
    company: SourcePool

    @abstractmethod
    def heard(self, scene: SceneDescription) -> NDArray[np.float32]:
        """The sound and after it the sources at the level that they have in it: `(channels + sources, samples)`."""

    def prepare(self, out: Path, progress: bool) -> None:
        """Cut the sources out."""
        self.company.prepare(self.form, progress)

    def audio(self, scene: SceneDescription) -> NDArray[np.float32]:
        """The first channels of what is heard."""
        return _heard(self, scene)[: self.channels]

    def sources(self, scene: SceneDescription) -> NDArray[np.float32]:
        """What follows them."""
        return _heard(self, scene)[self.channels :]

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every world, and sides that H.264 can take."""
        yield from super().constraints()
        yield from even_sides(self.form.width, self.form.height)


@lru_cache(maxsize=1)
def _heard(world: CanvasDataset[Any], scene: Any) -> NDArray[np.float32]:
    """What is heard in the last scene asked for: its sound and its sources are written one after the other."""
    heard = world.heard(scene)
    heard.setflags(write=False)
    return heard
