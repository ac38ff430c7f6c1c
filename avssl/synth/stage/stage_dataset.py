"""Synthetic dataset `stage`: objects in front of a perspective camera, with binaural audio."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.config_fields import choice
from avssl.synth.acoustics.binaural_render import fingerprint, render_ears, render_ears_and_sources
from avssl.synth.annotations.stage import stage_truth
from avssl.synth.dataset_base import even_sides, rendering_function
from avssl.synth.projection.pinhole import Camera
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import Cast
from avssl.synth.stage import both_sides, stage_scene
from avssl.synth.stage.stage_scene import StageScene
from avssl.synth.user_media.media_dataset import MediaDataset
from avssl.synth.user_media.media_options import MediaOptions
from avssl.synth.video_render import render_frames

VERSION = 1
"""Version of the dataset: raised whenever a seed gives other content."""
NARROWEST, WIDEST = 40.0, 120.0
"""Field of view of the camera, degrees."""
SIDES = {"one": stage_scene.describe, "both": both_sides.describe}
"""Sides that sources stand on -> sampling of a scene."""


@dataclass(frozen=True)
class Shot(Format):
    """How a scene on the stage is written down."""

    width: int = 224
    height: int = 128
    """Rows of a frame."""
    fov: float = math.pi / 2
    """Radians that the width takes in."""

    def lens(self) -> Camera:
        """Lens of the camera."""
        return Camera(self.width, self.height, self.fov)


@dataclass(frozen=True)
class StageOptions(MediaOptions):
    """Options of `stage`."""

    width: int = 224
    """Columns of a frame, even."""
    height: int = 128
    """Rows of a frame, even."""
    fov: float = 90.0
    """Horizontal field of view in degrees, 40 to 120."""
    hrirs: str = ""
    """HRIR set for binaural rendering: a SOFA file, or a CIPIC or SADIE folder; empty: a spherical head model."""
    room: bool = True
    """Reflections, reverberation and background noise."""
    sides: str = choice("one", SIDES)
    """Sides of the sources: one (all sources of a scene on the same side, for the task swap), or both (one to three
    sources anywhere in view, some of which cross the middle or have a silent twin; dry sources are written too)."""


class Stage(MediaDataset[StageScene]):
    """Sounding objects in front of an ordinary camera: flat video and binaural audio.

    The data set equals its own mirror image; see `avssl.synth.stage.stage_scene.describe` for sources on one side, and
    `avssl.synth.stage.both_sides.describe` for sources on both.
    """

    name: ClassVar[str] = "stage"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "binaural"
    panoramic: ClassVar[bool] = False
    Options: ClassVar[type] = StageOptions
    options: StageOptions
    form: Shot

    def __init__(self, options: StageOptions) -> None:
        super().__init__(options)
        self.form = Shot(
            options.seconds,
            options.width,
            options.frame_rate,
            options.sample_rate,
            options.height,
            math.radians(options.fov),
        )
        self.apart = options.sides == "both"

    @property
    def head(self) -> str:
        """Path of the HRIR set; empty: a spherical head model."""
        return str(self.options.hrirs or "")

    def draw(self, index: int, cast: Cast) -> StageScene:
        """See `avssl.synth.stage.stage_scene.describe` and `avssl.synth.stage.both_sides.describe`."""
        scene = SIDES[self.options.sides](self.options.seed, index, self.form.fov, cast)
        return scene if self.options.room else replace(scene, room=scene.room.anechoic())

    def audio(self, scene: StageScene) -> NDArray[np.float32]:
        """Left and right."""
        rendered = _last_rendered(self, scene)[0] if self.apart else render_ears(scene, self.form, self.head)
        return rendered[::-1] if scene.mirrored else rendered

    def sources(self, scene: StageScene) -> NDArray[np.float32]:
        """Direct sound of each source at the place of the head, without the head, by ascending number of the object."""
        return _last_rendered(self, scene)[1]

    def frames(self, scene: StageScene) -> Iterator[NDArray[np.uint8]]:
        """Frames of the camera."""
        frames = render_frames(scene, self.form)
        return (frame[:, ::-1] for frame in frames) if scene.mirrored else frames

    def truth(self, scene: StageScene) -> pa.Table:
        """See `avssl.synth.annotations.stage`."""
        return stage_truth(scene, self.form, self.form.lens())

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on; the responses by what they are, not by where they lie."""
        head = fingerprint(self.head, self.form.sample_rate)
        return (
            super().settings()
            | {
                "fov": round(math.degrees(self.form.fov), 9),
                "head": head,
                "room": self.options.room,
            }
            | ({"sides": self.options.sides} if self.options.sides != "one" else {})
        )

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every data set of scenes, sides that H.264 can take, and a field of view that objects fit into."""
        yield from super().constraints()
        yield from even_sides(self.form.width, self.form.height)
        fov = math.degrees(self.form.fov)
        fits = NARROWEST - 1e-9 <= fov <= WIDEST + 1e-9
        acoustic = self.options.room or not (self.options.rirs or self.options.ambience)
        yield self.options.sides in SIDES, f"sides is {' or '.join(SIDES)}, not {self.options.sides!r}"
        yield acoustic, "room is true with rirs and ambience, not false"
        yield fits, f"fov is from {NARROWEST:g} to {WIDEST:g} degrees, not {fov:g}"


@lru_cache(maxsize=1)
def _last_rendered(world: Stage, scene: StageScene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Audio and sources of the last scene: both are written, one after the other."""
    rendered = render_ears_and_sources(scene, world.form, world.head)
    for each in rendered:
        each.setflags(write=False)
    return rendered


stage = rendering_function(Stage)
"""Render `stage`; see `StageOptions`."""
