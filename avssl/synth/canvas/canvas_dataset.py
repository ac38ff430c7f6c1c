"""Synthetic datasets whose scenes are sources placed on a flat canvas."""

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
from avssl.synth.dataset_base import even_sides
from avssl.synth.render_dataset import SceneDataset, SceneOptions, SceneT
from avssl.synth.sources.source_pool import BuiltInSources, SourcePool
from avssl.synth.user_clips.clip_sources import load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting


@dataclass(frozen=True)
class CanvasOptions(SceneOptions):
    """Options of data sets on a canvas."""

    width: int = 320
    """Columns of a frame, even."""
    height: int = 180
    """Rows of a frame, even."""
    sources: str = ""
    """User clips to cut sources from: annotation file (JSON) or folder of LABEL/clip.mp4, or folder of clips,
    whose names are the kinds; empty: built-in objects."""
    segmenter: str = ""
    """Segmentation model for user clips: torchvision/maskrcnn_resnet50_fpn:WEIGHTS, or a .pt, .onnx or OpenVINO model
    of ultralytics; empty: bounding boxes."""
    cut_rate: float = 4.0
    """Frames per second that are cut from user clips."""


class CanvasDataset(SceneDataset[SceneT]):
    """Flat frames of sources on a canvas; the dry source signals are written too."""

    apart = True
    channels: ClassVar[int]
    """Channels of the audio."""
    Options: ClassVar[type] = CanvasOptions
    options: CanvasOptions
    form: Canvas

    def __init__(self, options: CanvasOptions) -> None:
        super().__init__(options)
        self.form = Canvas(options.seconds, options.width, options.frame_rate, options.sample_rate, options.height)
        self.company: SourcePool = BuiltInSources()

    def read_inputs(self, out: Path) -> None:
        """Read the annotations of user clips."""
        if self.options.sources:
            cutting = Cutting(self.options.segmenter, self.options.cut_rate)
            failures: list[str] = []
            self.company = load_clip_sources(out, Path(self.options.sources), cutting, failures)
            self.failures = tuple(failures)

    @abstractmethod
    def render_channels(self, scene: SceneT) -> NDArray[np.float32]:
        """The sound and after it the sources at the level that they have in it: `(channels + sources, samples)`.

        What a dataset writes beside may follow.
        """

    def prepare(self, out: Path, progress: bool) -> None:
        """Cut the sources out."""
        self.company.prepare(self.form, progress)

    def audio(self, scene: SceneT) -> NDArray[np.float32]:
        """Audio channels of the scene."""
        return _last_rendered(self, scene)[: self.channels]

    def sources(self, scene: SceneT) -> NDArray[np.float32]:
        """Source channels, after the audio channels."""
        return _last_rendered(self, scene)[self.channels :]

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every data set of scenes, and sides that H.264 can take."""
        yield from super().constraints()
        yield from even_sides(self.form.width, self.form.height)


@lru_cache(maxsize=1)
def _last_rendered(world: CanvasDataset[Any], scene: Any) -> NDArray[np.float32]:
    """Audio and source channels of the last scene: both are written, one after the other."""
    rendered = world.render_channels(scene)
    rendered.setflags(write=False)
    return rendered
