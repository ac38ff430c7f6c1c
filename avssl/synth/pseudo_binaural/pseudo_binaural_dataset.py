"""pseudo-binaural: patches of mono sources on a canvas, each heard by two ears from where it is seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.acoustics.binaural_render import fingerprint, head_responses
from avssl.synth.acoustics.foa_render import level
from avssl.synth.acoustics.pseudo_binaural_render import WAYS, hear
from avssl.synth.annotations.canvas import Placed, truth
from avssl.synth.backdrop import BLENDS, Backdrop
from avssl.synth.canvas.canvas_dataset import CanvasDataset
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.pseudo_binaural.patch_layout import Arrangement, Patch, arrange
from avssl.synth.render_dataset import write_dataset
from avssl.synth.sources.source_pool import USUAL, BuiltInSources
from avssl.synth.user_clips.clip_sources import load_clip_sources
from avssl.synth.user_clips.cutouts import Cutting

VERSION = 1
"""Of the world: raised whenever the same seed gives another scene."""
LEVEL = 20 * math.log10(USUAL)
"""Root mean square of left plus right, decibels below full scale, unless peaks forbid it."""


def pseudo_binaural(
    out: Path,
    clips: int,
    seconds: float,
    seed: int,
    *,
    width: int = 640,
    height: int = 360,
    fov: float = 120.0,
    way: str = "ambisonic",
    hrirs: Path | None = None,
    background: str = "blank",
    blend: str = "poisson",
    size_by_loudness: bool = False,
    one_level: bool = True,
    sources: Path | None = None,
    segmenter: str = "",
    cut_rate: float = 10.0,
    frame_rate: float = 16.0,
    sample_rate: int = 24000,
    workers: int | None = None,
    test_share: float = 0.25,
    progress: bool = True,
) -> Path:
    """Render a made-up world: H.264 video of ordinary pictures, sound for two ears, manifest and truth.

    Scene i depends on `seed`, on the sources and on i alone; see `avssl.synth.render_dataset.write_dataset`. Xu et al.,
    "Visually informed binaural audio generation without binaural audios", CVPR 2021, make them; but responses are at
    the rate of the sound, their angles are read as they were meant, pictures are RGB, and no onset is lost.

    Args:
        out: folder to write to; made if it is not there.
        clips: scenes.
        seconds: length of a scene.
        seed: same seed, same world.
        width: columns of a frame, even.
        height: rows of a frame, even.
        fov: degrees of azimuth that the canvas is wide; 120 puts its edges at 60 degrees. It is 90 degrees high.
        way: ambisonic, direct or ambidirect, see `avssl.synth.acoustics.pseudo_binaural_render.WAYS`.
        hrirs: head-related responses to hear with, see `avssl.media.hrir_files.read_hrirs`; None: those of a sphere.
        background: blank, drawn, or the path of a picture or of a folder of pictures.
        blend: poisson or paste, what patches are put on a background by.
        size_by_loudness: whether the louder a recording is, the smaller is its patch.
        one_level: whether all sources of a scene are equally loud.
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
        InputError: a number that has no meaning, sources or responses that cannot be used, or `out` holds something
            else.
        OSError: `out` cannot be written, or a file is not there.
    """
    form = Canvas(seconds, width, frame_rate, sample_rate, height)
    company = load_clip_sources(out, sources, Cutting(segmenter, cut_rate)) if sources else BuiltInSources()
    world = PseudoBinaural(
        seed, form, company, math.radians(fov), way, "" if hrirs is None else str(hrirs),
        Backdrop(background, blend), size_by_loudness, one_level,
    )  # fmt: skip
    return write_dataset(out, world, clips, workers=workers, test_share=test_share, progress=progress)


@dataclass(frozen=True)
class PseudoBinaural(CanvasDataset[Arrangement]):
    """Patches on a canvas, sound for two ears."""

    name: ClassVar[str] = "pseudo-binaural"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "binaural"
    channels: ClassVar[int] = 2
    fov: float
    """Radians of azimuth that the canvas is wide."""
    way: str
    head: str
    """Path of head-related responses; empty: a sphere."""
    backdrop: Backdrop
    by_loudness: bool
    """Whether the louder a recording is, the smaller is its patch."""
    one_level: bool
    """Whether all sources are equally loud."""

    def describe(self, index: int) -> Arrangement:
        """See `avssl.synth.pseudo_binaural.patch_layout.arrange`."""
        return arrange(self.seed, index, self.company, self.form, self.fov, self.by_loudness)

    def frames(self, scene: Arrangement) -> Iterator[NDArray[np.uint8]]:
        """The patches over what lies behind them."""
        behind = self.backdrop.draw(scene.backdrop, self.form)
        placed = [_place(patch, self.form) for patch in scene.patches]
        for frame in range(len(self.form.frame_times())):
            image = behind.copy()
            for each in placed:
                if each.drawn(frame):
                    self.backdrop.put(image, *each.shown(frame), float(each.look.light[frame]))
            yield image

    def truth(self, scene: Arrangement) -> pa.Table:
        """See `avssl.synth.annotations.canvas.SCHEMA`."""
        placed = [_place(patch, self.form) for patch in scene.patches]
        order = np.tile(np.arange(len(placed)), (len(self.form.frame_times()), 1))
        return truth(scene.key, self.form, placed, order)

    def settings(self) -> dict[str, object]:
        """All that the scenes depend on."""
        mine = {
            "fov": round(math.degrees(self.fov), 9),
            "way": self.way,
            "head": fingerprint(self.head, self.form.sample_rate),
            "size_by_loudness": self.by_loudness,
            "one_level": self.one_level,
        }
        return super().settings() | mine | self.backdrop.settings() | self.company.settings()

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every canvas, a field of view, and names that mean something."""
        yield from super().constraints()
        fov = math.degrees(self.fov)
        yield 0 < fov <= 180 + 1e-9, f"fov is above 0 and at most 180 degrees, not {fov:g}"
        yield self.way in WAYS, f"way is {', '.join(WAYS)}, not {self.way!r}"
        yield self.backdrop.blend in BLENDS, f"blend is {' or '.join(BLENDS)}, not {self.backdrop.blend!r}"

    def heard(self, scene: Arrangement) -> NDArray[np.float32]:
        """Left, right and after them the sources `(2 + sources, samples)`; what sounds before the scene rings on."""
        hrirs = head_responses(self.head, self.form.sample_rate)
        dry = [self._dry(patch) for patch in scene.patches]
        places = [(patch.azimuth, patch.elevation) for patch in scene.patches]
        each = [hear(audio, self.way, *place, hrirs) for audio, place in zip(dry, places, strict=True)]
        total = np.concatenate([np.sum(each, axis=0), np.stack(dry)])[:, -len(self.form.sample_times()) :]
        return level(total, total[0] + total[1], LEVEL)

    def _dry(self, patch: Patch) -> NDArray[np.float32]:
        audio = patch.actor.audio(self.form)
        return audio / np.float32(patch.actor.loudness(self.form)) if self.one_level else audio


def _place(patch: Patch, form: Canvas) -> Placed:
    """A patch that stays where it is; what pulses is never larger than it."""
    still = np.ones(len(form.frame_times()))
    return Placed(
        kind=patch.actor.kind,
        heard=True,
        look=patch.look,
        x=patch.x * still,
        y=patch.y * still,
        side=patch.side * patch.look.side / patch.look.largest,
        azimuth=patch.azimuth * still,
        elevation=patch.elevation * still,
    )
