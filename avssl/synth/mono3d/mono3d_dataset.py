"""Synthetic dataset `mono3d`: cut-outs on random walks through image and sound field, after MonoTo3D."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.config_fields import choice
from avssl.synth.acoustics.foa_render import level
from avssl.synth.acoustics.room import background
from avssl.synth.annotations.canvas import Placed, truth
from avssl.synth.backgrounds import draw_background
from avssl.synth.canvas.canvas_dataset import CanvasDataset, CanvasOptions
from avssl.synth.canvas.compositing import Canvas, paste
from avssl.synth.dataset_base import rendering_function
from avssl.synth.mono3d.camera_turn import CameraTurn
from avssl.synth.mono3d.mono3d_scene import (
    DEPTHS,
    MIXED,
    TYPES,
    Patterns,
    Walker,
    WalkScene,
    Wandering,
    describe,
    lacking,
)
from avssl.synth.output_folder import UNWRITTEN
from avssl.synth.render_dataset import is_test
from avssl.synth.sources.source_pool import USUAL

VERSION = 1
"""Version of the dataset: raised whenever a seed gives other content."""
LEVEL = -26.0
"""RMS level of W, dB below full scale, lower where peaks would clip."""
CUBE = 1 / math.sqrt(3)
"""Half the side of the cube inscribed in the unit sphere."""


@dataclass(frozen=True)
class Mono3dOptions(CanvasOptions):
    """Options of `mono3d`."""

    type: str = "mixed"
    """Type of the scenes: P1 (one source), P2 (sources of different kinds), P3 (of one kind), P4 (before a background,
    with ambient sound and a silent object), P5 (of different kinds, before a camera that turns, tilts and rolls),
    several joined by +, such as P1+P2 (each as often), or mixed: P1+P2+P3+P4."""
    test_type: str = ""
    """Type of the scenes of split test; empty: those of `type`."""
    objects: int = 3
    """Largest number of sources of a scene, 2 to 6."""
    depth: str = choice("all", DEPTHS)
    """Where sources are: all (anywhere, also behind the viewer), front (before the viewer), or behind (one source is
    behind the viewer all the time, and the others are before)."""
    fraction: float = 0.25
    """Share of a trajectory's points, one per frame, that are drawn at random; the others are interpolated."""
    step: float = 0.25
    """Largest step along an axis between two drawn points, in half canvases."""
    deviation: float = 0.2
    """Largest distance of an object's center beyond the edge of the frame, in half canvases."""


class Mono3d(CanvasDataset[WalkScene]):
    """Cut-outs on 3-D random walks: flat video and first-order ambisonic audio, as MonoTo3D makes its scenes.

    MonoTo3D names its channels by the axes of the picture; here an object on the right is on the right of the sound
    field, and a near one in front: X = z, Y = -x, Z = -y of a place whose x goes right, y down, z towards the viewer.
    """

    name: ClassVar[str] = "mono3d"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "ambix"
    channels: ClassVar[int] = 4
    Options: ClassVar[type] = Mono3dOptions
    options: Mono3dOptions

    def __init__(self, options: Mono3dOptions) -> None:
        super().__init__(options)
        self.how = Wandering(options.fraction, options.step, options.deviation)

    def types(self, test: bool) -> tuple[str, ...]:
        """Types of the scenes of split test, or of the others."""
        named = (test and self.options.test_type) or self.options.type
        return MIXED if named == "mixed" else tuple(named.split("+"))

    def describe(self, index: int) -> WalkScene:
        """See `avssl.synth.mono3d.mono3d_scene.describe`."""
        types = self.types(is_test(index, self.options.test_share))
        patterns = Patterns(types, self.options.objects, self.options.depth)
        return describe(self.options.seed, index, patterns, self.company, self.form, self.how)

    def frames(self, scene: WalkScene) -> Iterator[NDArray[np.uint8]]:
        """Nearer ones hide farther ones; those behind the viewer are not drawn."""
        form = self.form
        blank = np.zeros((form.height, form.width, 3), np.uint8)
        backdrop = blank if scene.background is None else draw_background(scene.background, form.lens())
        placed = self._placed(scene)
        for frame, painted in enumerate(_order(placed, scene, form)):
            image = backdrop.copy()
            for each in (placed[number] for number in painted):
                if each.drawn(frame):
                    seen, spot = each.shown(frame)
                    paste(image, seen, spot, float(each.look.light[frame]))
            yield image

    def truth(self, scene: WalkScene) -> pa.Table:
        """As `avssl.synth.annotations.canvas.SCHEMA`, with the type of the scene, and `z` from -1 to 1 (near).

        Data sets with scenes of P5 have the angles of the camera too, in degrees; directions are relative to it.
        """
        placed = self._placed(scene)
        table = truth(scene.key, self.form, placed, _order(placed, scene, self.form))
        depth = np.stack([each.walk.at(self.form.frame_times())[:, 2] for each in scene.walkers], 1).reshape(-1)
        table = table.append_column("z", pa.array(depth, pa.float32()))
        table = table.append_column("type", pa.array([scene.type] * len(table)))
        if "P5" not in self.types(False) + self.types(True):
            return table
        angles = np.degrees(_angles(scene.camera, self.form.frame_times())).repeat(len(scene.walkers), 0)
        for name, each in zip(("camera_yaw", "camera_pitch", "camera_roll"), angles.T, strict=True):
            table = table.append_column(name, pa.array(each, pa.float32()))
        return table

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        found = super().settings() | {"type": self.options.type} | asdict(self.how) | self.company.settings()
        if self.options.test_type:
            found |= {"test_type": self.options.test_type, "test_share": self.options.test_share}
        own = {"objects": self.options.objects, "depth": self.options.depth}
        return found | {name: value for name, value in own.items() if value != UNWRITTEN[name]}

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every canvas, walks that move, and the sources that the types want."""
        yield from super().constraints()
        options = self.options
        for name, types in (("type", self.types(False)), ("test_type", self.types(True))):
            known = set(types) <= set(TYPES) and len(set(types)) == len(types)
            text = getattr(options, name)
            yield known, f"{name} is mixed, or one or more of {', '.join(TYPES)} joined by +, not {text!r}"
        yield 2 <= options.objects <= 6, f"objects is from 2 to 6, not {options.objects}"
        yield options.depth in DEPTHS, f"depth is {', '.join(DEPTHS)}, not {options.depth!r}"
        yield 0 < self.how.fraction <= 1, f"fraction is above 0 and at most 1, not {self.how.fraction}"
        yield 0 <= self.how.step < math.inf, f"step is not negative, this is {self.how.step}"
        yield 0 <= self.how.deviation < math.inf, f"deviation is not negative, this is {self.how.deviation}"
        lacks = lacking(self.types(False) + self.types(True), self.company)
        yield not lacks, lacks

    def _placed(self, scene: WalkScene) -> list[Placed]:
        roll = _angles(scene.camera, self.form.frame_times())[:, 2]
        return [_place(walker, self.form, self.how.deviation, roll) for walker in scene.walkers]

    def render_channels(self, scene: WalkScene) -> NDArray[np.float32]:
        """W, Y, Z, X and after them the sources that sound, as they are in W: `(4 + sources, samples)`.

        W is the sum of the sources, Y, Z, X that of the sources times their places over the root of three.
        """
        times = self.form.sample_times()
        sounding = [walker for walker in scene.walkers if walker.gain > 0]
        dry = np.stack([_evened(walker, self.form)[-len(times) :] for walker in sounding])
        field = np.zeros((4, len(times)), np.float32)
        for walker, signal in zip(sounding, dry, strict=True):
            right, down, near = CUBE * walker.walk.at(times).T
            field += (signal * np.stack([np.ones_like(right), -right, -down, near])).astype(np.float32)
        if scene.around is not None:
            loud = np.sqrt((field[0] ** 2).mean()) * 10 ** (-scene.around.noise / 20)
            field += np.float32(loud) * background(scene.around, len(times), self.form.sample_rate)
        return level(np.concatenate([field, dry]), field[0], LEVEL)


def _evened(walker: Walker, form: Canvas) -> NDArray[np.float32]:
    """A walker's sound, as loud as the scene wants it whatever its recording."""
    gain = USUAL * walker.gain / walker.actor.loudness(form)
    return np.asarray(walker.actor.audio(form) * np.float32(gain), np.float32)


def _angles(camera: CameraTurn | None, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw, pitch and roll `(times, 3)`."""
    return np.zeros((len(times), 3)) if camera is None else camera.angles(times)


def _place(walker: Walker, form: Canvas, deviation: float, roll: NDArray[np.float64]) -> Placed:
    """Position of a walker in image and sound field; nearer walkers are larger, by the arc tangent of z."""
    right, down, near = walker.walk.at(form.frame_times()).T
    look = walker.actor.appearance(form)
    look = replace(look, roll=look.roll + roll)
    return Placed(
        kind=walker.actor.kind,
        audible=walker.gain > 0,
        look=look,
        x=form.width / 2 * (1 + (1 + deviation) * right),
        y=form.height / 2 * (1 + (1 + deviation) * down),
        side=np.arctan(np.maximum(near, 0)) * look.side * form.height,
        azimuth=np.arctan2(-right, near),
        elevation=np.arctan2(-down, np.hypot(right, near)),
    )


def _order(placed: list[Placed], scene: WalkScene, form: Canvas) -> NDArray[np.int64]:
    """`(frames, walkers)`: as they are painted, the nearest on top."""
    depth = np.stack([walker.walk.at(form.frame_times())[:, 2] for walker in scene.walkers], 1)
    return np.argsort(depth, axis=1, kind="stable")


mono3d = rendering_function(Mono3d)
"""Render `mono3d`; see `Mono3dOptions`."""
