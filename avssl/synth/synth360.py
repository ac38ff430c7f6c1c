"""Synthetic dataset `synth360`: sources around a 360-degree camera, with ambisonic audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from avssl.spatial.spherical_harmonics import spherical_harmonics
from avssl.synth.acoustics.foa_render import render_audio, render_stems
from avssl.synth.annotations.sphere import truth
from avssl.synth.dataset_base import rendering_function
from avssl.synth.scene import Scene, describe
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import Cast
from avssl.synth.trajectories import unit_vector
from avssl.synth.user_media.media_dataset import MediaDataset
from avssl.synth.user_media.media_options import MediaOptions
from avssl.synth.video_render import render_frames

VERSION = 2
"""Version of the dataset: raised whenever a seed gives other content."""
HIGHEST = 4
"""Ambisonic order."""


@dataclass(frozen=True)
class Synth360Options(MediaOptions):
    """Options of `synth360`."""

    width: int = 448
    """Columns of a frame, a multiple of 4; rows are half as many."""
    order: int = 1
    """Ambisonic order of the audio, 1 to 4: (order + 1)^2 channels, of which the first four are those of order 1."""


@dataclass(frozen=True)
class Synth360Order2Options(Synth360Options):
    """Options of `synth360-order-2`."""

    order: int = 2
    """Ambisonic order of the audio, 1 to 4."""


class Synth360(MediaDataset[Scene]):
    """Sounding objects around a 360-degree camera: equirectangular video and ambisonic audio."""

    name: ClassVar[str] = "synth360"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "ambix"
    panoramic: ClassVar[bool] = True
    Options: ClassVar[type] = Synth360Options
    options: Synth360Options

    def __init__(self, options: Synth360Options) -> None:
        super().__init__(options)
        self.form = Format(options.seconds, options.width, options.frame_rate, options.sample_rate)

    def draw(self, index: int, cast: Cast) -> Scene:
        """See `avssl.synth.scene.describe`."""
        return describe(self.options.seed, index, cast)

    def audio(self, scene: Scene) -> NDArray[np.float32]:
        """As many channels as the order has, ambiX."""
        return render_audio(scene, self.form, self.options.order)

    def stems(self, scene: Scene) -> dict[int, NDArray[np.float32]]:
        """See `SceneDataset.stems`."""
        return render_stems(scene, self.form, self.options.order)

    def gains(self, scene: Scene, times: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
        """See `SceneDataset.gains`."""
        paths = {thing.number: thing.path.at(times) for thing in scene.things}
        vectors = {number: torch.from_numpy(unit_vector(*path[:2])) for number, path in paths.items()}
        return {
            number: spherical_harmonics(each, self.options.order).numpy()[:, 1:].T for number, each in vectors.items()
        }

    def frames(self, scene: Scene) -> Iterator[NDArray[np.uint8]]:
        """Equirectangular frames."""
        return render_frames(scene, self.form)

    def truth(self, scene: Scene) -> pa.Table:
        """See `avssl.synth.annotations.sphere.SCHEMA`."""
        return truth(scene, self.form)

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        return super().settings() | {"order": self.options.order}

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every data set of scenes, an order that is implemented, a width that lens and H.264 can take."""
        yield from super().constraints()
        order = self.options.order
        yield 1 <= order <= HIGHEST, f"order is from 1 to {HIGHEST}, not {order}"
        first = order == 1 or not (self.options.rirs or self.options.ambience)
        yield first, f"order is 1 with rirs and ambience, which are of first order, not {order}"
        width = self.form.width
        yield width >= 32 and width % 4 == 0, f"width is a multiple of 4 from 32 up, not {width}"


class Synth360Order2(Synth360):
    """The scenes of synth360 with second-order ambisonic audio: ground truth for upmixing first-order audio."""

    Options: ClassVar[type] = Synth360Order2Options


synth360 = rendering_function(Synth360)
"""Render `synth360`; see `Synth360Options`."""
