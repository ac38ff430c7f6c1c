"""stage: objects in front of a camera of ordinary field of view, heard by two ears."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.acoustics.binaural_render import fingerprint, render_ears
from avssl.synth.annotations.stage import stage_truth
from avssl.synth.dataset_base import SyntheticDataset, even_sides
from avssl.synth.projection.pinhole import Camera
from avssl.synth.render_dataset import write_dataset
from avssl.synth.scene import Format
from avssl.synth.stage.stage_scene import StageScene, describe
from avssl.synth.video_render import render_frames

VERSION = 1
"""Of the world: raised whenever the same seed gives another scene."""
NARROWEST, WIDEST = 40.0, 120.0
"""Degrees of the camera's field of view."""


@dataclass(frozen=True)
class Shot(Format):
    """How a scene on the stage is written down."""

    width: int = 224
    height: int = 128
    """Rows of a frame."""
    fov: float = math.pi / 2
    """Radians that the width takes in."""

    def lens(self) -> Camera:
        """What the pictures are taken with."""
        return Camera(self.width, self.height, self.fov)


def stage(
    out: Path,
    clips: int,
    seconds: float,
    seed: int,
    *,
    width: int = 224,
    height: int = 128,
    fov: float = 90.0,
    hrirs: Path | None = None,
    room: bool = True,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    workers: int | None = None,
    test_share: float = 0.25,
    progress: bool = True,
) -> Path:
    """Render a made-up world: H.264 video, sound for two ears, manifest and truth.

    Scene i depends on `seed` and i alone; see `avssl.synth.render_dataset.write_dataset`. It is its own mirror image,
    see `avssl.synth.stage.stage_scene.describe`.

    Args:
        out: folder to write to; made if it is not there.
        clips: scenes.
        seconds: length of a scene.
        seed: same seed, same world.
        width: columns of a frame, even.
        height: rows of a frame, even.
        fov: horizontal field of view, degrees, from 40 to 120.
        hrirs: head-related responses to hear with, see `avssl.media.hrir_files.read_hrirs`; None: those of a sphere.
        room: whether there are reflections, reverberation and background noise.
        frame_rate: frames a second.
        sample_rate: Hz.
        workers: processes; 1 renders in this one, None takes one a core.
        test_share: share of the scenes that the manifest calls test, spread evenly.
        progress: whether a bar shows how far it is.

    Returns:
        Path of the manifest.

    Raises:
        InputError: a number that has no meaning, responses that cannot be used, or `out` holds something else.
        OSError: `out` cannot be written, or there are no such responses.
    """
    shot = Shot(seconds, width, frame_rate, sample_rate, height, math.radians(fov))
    world = Stage(seed, shot, "" if hrirs is None else str(hrirs), room)
    return write_dataset(out, world, clips, workers=workers, test_share=test_share, progress=progress)


@dataclass(frozen=True)
class Stage(SyntheticDataset[StageScene]):
    """Pictures of one camera, sound for two ears."""

    name: ClassVar[str] = "stage"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "binaural"
    form: Shot
    head: str = ""
    """Path of head-related responses; empty: a sphere."""
    room: bool = True
    """Whether the sound is that of a room."""

    def describe(self, index: int) -> StageScene:
        """See `avssl.synth.stage.stage_scene.describe`."""
        scene = describe(self.seed, index, self.form.fov)
        return scene if self.room else replace(scene, room=scene.room.anechoic())

    def audio(self, scene: StageScene) -> NDArray[np.float32]:
        """Left and right."""
        heard = render_ears(scene, self.form, self.head)
        return heard[::-1] if scene.mirrored else heard

    def frames(self, scene: StageScene) -> Iterator[NDArray[np.uint8]]:
        """What the camera sees."""
        frames = render_frames(scene, self.form)
        return (frame[:, ::-1] for frame in frames) if scene.mirrored else frames

    def truth(self, scene: StageScene) -> pa.Table:
        """See `avssl.synth.annotations.stage`."""
        return stage_truth(scene, self.form, self.form.lens())

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on; the responses by what they are, not by where they lie."""
        head = fingerprint(self.head, self.form.sample_rate)
        return super().settings() | {"fov": round(math.degrees(self.form.fov), 9), "head": head, "room": self.room}

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every world, sides that H.264 can take, and a field of view that objects fit into."""
        yield from super().constraints()
        yield from even_sides(self.form.width, self.form.height)
        fov = math.degrees(self.form.fov)
        fits = NARROWEST - 1e-9 <= fov <= WIDEST + 1e-9
        yield fits, f"fov is from {NARROWEST:g} to {WIDEST:g} degrees, not {fov:g}"
