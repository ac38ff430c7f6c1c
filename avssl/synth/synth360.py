"""synth360: sounding objects all around a 360-degree camera, heard by an ambisonic microphone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.acoustics.foa_render import render_audio
from avssl.synth.annotations.sphere import truth
from avssl.synth.dataset_base import SyntheticDataset
from avssl.synth.render_dataset import write_dataset
from avssl.synth.scene import Format, Scene, describe
from avssl.synth.video_render import render_frames

VERSION = 2
"""Of the world: raised whenever the same seed gives another scene."""
HIGHEST = 4
"""Order of a sound field."""


def synth360(
    out: Path,
    clips: int,
    seconds: float,
    seed: int,
    *,
    width: int = 448,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    order: int = 1,
    workers: int | None = None,
    test_share: float = 0.25,
    progress: bool = True,
) -> Path:
    """Render a made-up world: H.264 video, ambisonic sound, manifest and truth.

    Scene i depends on `seed` and i alone; see `avssl.synth.render_dataset.write_dataset`.

    Args:
        out: folder to write to; made if it is not there.
        clips: scenes.
        seconds: length of a scene.
        seed: same seed, same world.
        width: columns of a frame, a multiple of 4; half as many rows.
        frame_rate: frames a second.
        sample_rate: Hz.
        order: of the sound field; 1: four channels, 2: nine, which begin with those four.
        workers: processes; 1 renders in this one, None takes one a core.
        test_share: share of the scenes that the manifest calls test, spread evenly.
        progress: whether a bar shows how far it is.

    Returns:
        Path of the manifest.

    Raises:
        InputError: a number that has no meaning, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    world = Synth360(seed, Format(seconds, width, frame_rate, sample_rate), order)
    return write_dataset(out, world, clips, workers=workers, test_share=test_share, progress=progress)


@dataclass(frozen=True)
class Synth360(SyntheticDataset[Scene]):
    """Equirectangular pictures and ambiX sound."""

    name: ClassVar[str] = "synth360"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "ambix"
    order: int = 1
    """Of the sound field."""

    def describe(self, index: int) -> Scene:
        """See `avssl.synth.scene.describe`."""
        return describe(self.seed, index)

    def audio(self, scene: Scene) -> NDArray[np.float32]:
        """As many channels as the order has, ambiX."""
        return render_audio(scene, self.form, self.order)

    def frames(self, scene: Scene) -> Iterator[NDArray[np.uint8]]:
        """Equirectangular frames."""
        return render_frames(scene, self.form)

    def truth(self, scene: Scene) -> pa.Table:
        """See `avssl.synth.annotations.sphere.SCHEMA`."""
        return truth(scene, self.form)

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        return super().settings() | {"order": self.order}

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every world, and a width that the lens and H.264 can take."""
        yield from super().constraints()
        yield 1 <= self.order <= HIGHEST, f"order is from 1 to {HIGHEST}, not {self.order}"
        width = self.form.width
        yield width >= 32 and width % 4 == 0, f"width is a multiple of 4 from 32 up, not {width}"
