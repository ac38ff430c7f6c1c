"""Synthetic dataset `pseudo-binaural`: patches of mono sources, each rendered binaurally from its position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.config_fields import choice
from avssl.synth.acoustics.binaural_render import fingerprint, head_responses
from avssl.synth.acoustics.foa_render import level_gain
from avssl.synth.acoustics.pseudo_binaural_render import (
    ARCS,
    DECODERS,
    LEAST_SPEAKERS,
    MOST_SPEAKERS,
    WAYS,
    Loudspeakers,
    hear,
)
from avssl.synth.annotations.canvas import Placed, truth
from avssl.synth.backdrop import BLENDS, Backdrop
from avssl.synth.canvas.canvas_dataset import CanvasDataset, CanvasOptions
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.dataset_base import rendering_function
from avssl.synth.pseudo_binaural.patch_layout import MOST_SOURCES, Arrangement, Patch, arrange, read_counts
from avssl.synth.sources.source_pool import USUAL

VERSION = 2
"""Version of the dataset: raised whenever a seed gives other content."""
LEVEL = 20 * math.log10(USUAL)
"""RMS level of left plus right, dB below full scale, lower where peaks would clip."""


@dataclass(frozen=True)
class PseudoBinauralOptions(CanvasOptions):
    """Options of `pseudo-binaural`."""

    width: int = 640
    """Columns of a frame, even."""
    height: int = 360
    """Rows of a frame, even."""
    fov: float = 120.0
    """Degrees of azimuth that the canvas spans, above 0 to 180; 120 puts its edges at 60 degrees. Its elevation
    spans 90 degrees."""
    way: str = choice("ambisonic", WAYS)
    """Binaural rendering: ambisonic (decoded to virtual loudspeakers), direct (each source's own direction), or
    ambidirect (two cardioids)."""
    speakers: int = 8
    """Virtual loudspeakers on the horizon, of way=ambisonic."""
    arc: str = choice("full", ARCS)
    """Azimuths of the loudspeakers: full, a circle (the published code), or frontal, 90 degrees right to 90 degrees
    left (the published text)."""
    decoder: str = choice("transpose", DECODERS)
    """Decoder of the loudspeakers: transpose of the encoder (the published code), or pinv, its pseudo-inverse (the
    published text)."""
    counts: str = "4:5:1"
    """Ratio of the numbers of scenes with one, two, three, ... sources, up to six; 0:1:0 for two sources always."""
    hrirs: str = ""
    """HRIR set for binaural rendering: a SOFA file, or a CIPIC or SADIE folder; empty: a spherical head model."""
    background: str = "blank"
    """Background: blank, drawn, or the path of an image or of a folder of images."""
    blend: str = choice("poisson", BLENDS)
    """Blending of patches with a background that is not blank: poisson or paste."""
    size_by_loudness: bool = False
    """Make the patch of a louder recording smaller."""
    one_level: bool = True
    """Normalize all sources of a scene to the same loudness."""
    cut_rate: float = 10.0
    """Frames per second that are cut from user clips."""


@dataclass(frozen=True)
class PseudoBinauralStageOptions(PseudoBinauralOptions):
    """Options of `pseudo-binaural-stage`."""

    width: int = 224
    """Columns of a frame, even."""
    height: int = 128
    """Rows of a frame, even."""
    fov: float = 90.0
    """Degrees of azimuth that the canvas spans, above 0 to 180."""
    way: str = choice("direct", WAYS)
    """Binaural rendering: ambisonic, direct or ambidirect."""
    background: str = "drawn"
    """Background: blank, drawn, or the path of an image or of a folder of images."""
    # Blended as published, objects take on the colours behind them, and no longer look like those on the stage.
    blend: str = choice("paste", BLENDS)
    """Blending of patches with a background that is not blank: poisson or paste."""


class PseudoBinaural(CanvasDataset[Arrangement]):
    """Patches of mono sources side by side, each rendered binaurally at its azimuth: flat video and binaural audio.

    As in Xu et al., "Visually informed binaural audio generation without binaural audios", CVPR 2021; but HRIRs are at
    the sample rate of the audio, their angles are read as they were meant, frames are RGB, and no onset is lost.
    """

    name: ClassVar[str] = "pseudo-binaural"
    version: ClassVar[int] = VERSION
    layout: ClassVar[str] = "binaural"
    channels: ClassVar[int] = 2
    shared = True
    Options: ClassVar[type] = PseudoBinauralOptions
    options: PseudoBinauralOptions

    def __init__(self, options: PseudoBinauralOptions) -> None:
        super().__init__(options)
        self.fov = math.radians(options.fov)
        self.backdrop = Backdrop(options.background, options.blend)
        self.loudspeakers = Loudspeakers(options.speakers, options.arc, options.decoder)

    @property
    def head(self) -> str:
        """Path of the HRIR set; empty: a spherical head model."""
        return str(self.options.hrirs or "")

    def describe(self, index: int) -> Arrangement:
        """See `avssl.synth.pseudo_binaural.patch_layout.arrange`."""
        by_loudness, counts = self.options.size_by_loudness, read_counts(self.options.counts)
        return arrange(self.options.seed, index, self.company, self.form, self.fov, by_loudness, counts)

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
            "way": self.options.way,
            "head": fingerprint(self.head, self.form.sample_rate),
            "size_by_loudness": self.options.size_by_loudness,
            "one_level": self.options.one_level,
        }
        default = PseudoBinauralOptions()
        changed = {name: getattr(self.options, name) for name in ("speakers", "arc", "decoder", "counts")}
        mine |= {name: value for name, value in changed.items() if value != getattr(default, name)}
        return super().settings() | mine | self.backdrop.settings() | self.company.settings()

    def constraints(self) -> Iterator[tuple[bool, str]]:
        """Those of every canvas, a field of view, and names that mean something."""
        yield from super().constraints()
        fov, way, rig = math.degrees(self.fov), self.options.way, self.loudspeakers
        yield 0 < fov <= 180 + 1e-9, f"fov is above 0 and at most 180 degrees, not {fov:g}"
        yield way in WAYS, f"way is {', '.join(WAYS)}, not {way!r}"
        fits = LEAST_SPEAKERS <= rig.count <= MOST_SPEAKERS
        yield fits, f"speakers is from {LEAST_SPEAKERS} to {MOST_SPEAKERS}, not {rig.count}"
        yield rig.arc in ARCS, f"arc is {' or '.join(ARCS)}, not {rig.arc!r}"
        yield rig.decoder in DECODERS, f"decoder is {' or '.join(DECODERS)}, not {rig.decoder!r}"
        yield (
            way == "ambisonic" or rig == Loudspeakers(),
            f"speakers, arc and decoder are of way=ambisonic, not {way!r}",
        )
        ratio = f"counts is up to {MOST_SOURCES} whole numbers such as 4:5:1, for one, two, three sources"
        yield bool(read_counts(self.options.counts)), f"{ratio}, not {self.options.counts!r}"
        yield self.backdrop.blend in BLENDS, f"blend is {' or '.join(BLENDS)}, not {self.backdrop.blend!r}"

    def render_channels(self, scene: Arrangement) -> NDArray[np.float32]:
        """Left, right, the sources, and the mean of both ears of each: `(2 + 2 * sources, samples)`.

        What sounds before the scene rings on.
        """
        total, each = self._rendered(scene)
        gain = np.float32(level_gain(total, total[0] + total[1], LEVEL))
        shares = np.mean(each, axis=1)[:, -total.shape[1] :]
        return np.asarray(gain * np.concatenate([total, shares]), np.float32)

    def sources(self, scene: Arrangement) -> NDArray[np.float32]:
        """Dry sources, before they are rendered binaurally."""
        return super().sources(scene)[: len(scene.patches)]

    def shares(self, scene: Arrangement) -> NDArray[np.float32]:
        """See `SceneDataset.shares`."""
        return super().sources(scene)[len(scene.patches) :]

    def stems(self, scene: Arrangement) -> dict[int, NDArray[np.float32]]:
        """See `SceneDataset.stems`."""
        total, each = self._rendered(scene)
        gain = np.float32(level_gain(total, total[0] + total[1], LEVEL))
        return {number: gain * stem[:, -total.shape[1] :] for number, stem in enumerate(each)}

    def _rendered(self, scene: Arrangement) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Left, right and the sources before their gain, and binaural audio of each patch, the lead included."""
        hrirs = head_responses(self.head, self.form.sample_rate)
        dry = [self._dry(patch) for patch in scene.patches]
        places = [(patch.azimuth, patch.elevation) for patch in scene.patches]
        way, rig = self.options.way, self.loudspeakers
        each = [hear(audio, way, *place, hrirs, rig) for audio, place in zip(dry, places, strict=True)]
        total = np.concatenate([np.sum(each, axis=0), np.stack(dry)])[:, -len(self.form.sample_times()) :]
        return total, each

    def _dry(self, patch: Patch) -> NDArray[np.float32]:
        audio = patch.actor.audio(self.form)
        return audio / np.float32(patch.actor.loudness(self.form)) if self.options.one_level else audio


class PseudoBinauralStage(PseudoBinaural):
    """pseudo-binaural in the geometry of `stage`: 90 degrees wide, objects pasted on a background, direct HRIRs."""

    version: ClassVar[int] = VERSION + 1
    Options: ClassVar[type] = PseudoBinauralStageOptions


pseudo_binaural = rendering_function(PseudoBinaural)
"""Render `pseudo-binaural`; see `PseudoBinauralOptions`."""


def _place(patch: Patch, form: Canvas) -> Placed:
    """A patch that stays where it is; what pulses is never larger than it."""
    still = np.ones(len(form.frame_times()))
    return Placed(
        kind=patch.actor.kind,
        audible=True,
        look=patch.look,
        x=patch.x * still,
        y=patch.y * still,
        side=patch.side * patch.look.side / patch.look.largest,
        azimuth=patch.azimuth * still,
        elevation=patch.elevation * still,
    )
