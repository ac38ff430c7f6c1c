"""mono3d: cut-outs that walk through a picture and a sound field at once, as MonoTo3D makes its scenes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.acoustics.foa_render import level
from avssl.synth.acoustics.room import background
from avssl.synth.annotations.canvas import Placed, truth
from avssl.synth.backgrounds import draw_background
from avssl.synth.canvas.canvas_dataset import CanvasDataset
from avssl.synth.canvas.compositing import Canvas, paste
from avssl.synth.mono3d.mono3d_scene import TYPES, Walker, WalkScene, Wandering, describe, lacking
from avssl.synth.render_dataset import write_dataset
from avssl.synth.sources.source_pool import USUAL, BuiltInSources
from avssl.synth.user_clips.clip_sources import load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting

VERSION = 1
"""Of the world: raised whenever the same seed gives another scene."""
LEVEL = -26.0
"""Root mean square of W, decibels below full scale, unless peaks forbid it."""
CUBE = 1 / math.sqrt(3)
"""Half the side of the cube inside the unit sphere."""


def mono3d(
    out: Path,
    clips: int,
    seconds: float,
    seed: int,
    *,
    type: str = "mixed",
    width: int = 320,
    height: int = 180,
    fraction: float = 0.25,
    step: float = 0.25,
    deviation: float = 0.2,
    sources: Path | None = None,
    segmenter: str = "",
    cut_rate: float = 4.0,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    workers: int | None = None,
    test_share: float = 0.25,
    progress: bool = True,
) -> Path:
    """Render a made-up world: H.264 video of ordinary pictures, four-channel sound, manifest and truth.

    Scene i depends on `seed`, on the sources and on i alone; see `avssl.synth.render_dataset.write_dataset`.

    Args:
        out: folder to write to; made if it is not there.
        clips: scenes.
        seconds: length of a scene.
        seed: same seed, same world.
        type: P1, P2, P3 or P4, see `avssl.synth.mono3d.mono3d_scene.TYPES`; mixed: each as often.
        width: columns of a frame, even.
        height: rows of a frame, even.
        fraction: share of a walk's places, one a frame, that are drawn at random; the others are interpolated.
        step: largest step along an axis between two drawn places; half the canvas is 1.
        deviation: how far beyond the edges the middle of an object may go, likewise.
        sources: annotation file or folder of clips to cut the sources from, see `avssl.synth.user_clips.annotations`;
            None: the built-in objects.
        segmenter: what cuts them out, see `avssl.detection.backends.segmenter`; empty: their boxes.
        cut_rate: pictures a second that are cut out of them.
        frame_rate: frames a second.
        sample_rate: Hz.
        workers: processes; 1 renders in this one, None takes one a core.
        test_share: share of the scenes that the manifest calls test, spread evenly.
        progress: whether a bar shows how far it is.

    Returns:
        Path of the manifest.

    Raises:
        InputError: a number that has no meaning, sources that cannot be used, or `out` holds something else.
        OSError: `out` cannot be written.
    """
    form = Canvas(seconds, width, frame_rate, sample_rate, height)
    company = load_clip_sources(out, sources, Cutting(segmenter, cut_rate)) if sources else BuiltInSources()
    world = Mono3d(seed, form, company, type, Wandering(fraction, step, deviation))
    return write_dataset(out, world, clips, workers=workers, test_share=test_share, progress=progress)


@dataclass(frozen=True)
class Mono3d(CanvasDataset[WalkScene]):
    """Flat pictures and ambiX sound.

    MonoTo3D names its channels by the axes of the picture; here what is to the right is heard on the right and what is
    near is heard in front: X = z, Y = -x, Z = -y of a place whose x goes right, y down and z towards the viewer.
    """

    name: ClassVar[str] = "mono3d"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "ambix"
    channels: ClassVar[int] = 4
    type: str
    how: Wandering

    @property
    def types(self) -> tuple[str, ...]:
        """Types of its scenes."""
        return TYPES if self.type == "mixed" else (self.type,)

    def describe(self, index: int) -> WalkScene:
        """See `avssl.synth.mono3d.mono3d_scene.describe`."""
        return describe(self.seed, index, self.types, self.company, self.form, self.how)

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
        """As `avssl.synth.annotations.canvas.SCHEMA`, with the type of the scene, and `z` from -1 to 1 (near)."""
        placed = self._placed(scene)
        table = truth(scene.key, self.form, placed, _order(placed, scene, self.form))
        depth = np.stack([each.walk.at(self.form.frame_times())[:, 2] for each in scene.walkers], 1).reshape(-1)
        table = table.append_column("z", pa.array(depth, pa.float32()))
        return table.append_column("type", pa.array([scene.type] * len(table)))

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        return super().settings() | {"type": self.type} | asdict(self.how) | self.company.settings()

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every canvas, walks that move, and the sources that the types want."""
        yield from super().constraints()
        yield self.type in ("mixed", *TYPES), f"type is {', '.join(TYPES)} or mixed, not {self.type!r}"
        yield 0 < self.how.fraction <= 1, f"fraction is above 0 and at most 1, not {self.how.fraction}"
        yield 0 <= self.how.step < math.inf, f"step is not negative, this is {self.how.step}"
        yield 0 <= self.how.deviation < math.inf, f"deviation is not negative, this is {self.how.deviation}"
        lacks = lacking(self.types, self.company)
        yield not lacks, lacks

    def _placed(self, scene: WalkScene) -> list[Placed]:
        return [_place(walker, self.form, self.how.deviation) for walker in scene.walkers]

    def heard(self, scene: WalkScene) -> NDArray[np.float32]:
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


def _place(walker: Walker, form: Canvas, deviation: float) -> Placed:
    """Where a walker is seen and heard: the nearer, the larger, by the arc tangent of z."""
    right, down, near = walker.walk.at(form.frame_times()).T
    look = walker.actor.appearance(form)
    return Placed(
        kind=walker.actor.kind,
        heard=walker.gain > 0,
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
