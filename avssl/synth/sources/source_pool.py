"""Pool of audio-visual sources for scenes on a flat canvas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avssl.synth.drawn_object import DrawnObject, draw_thing, dry, sprite
from avssl.synth.scene_format import Format
from avssl.synth.sources.classes import KINDS
from avssl.synth.sources.oscillators import Signal
from avssl.synth.trajectories import Oscillation, Path

Floats = NDArray[np.float64]

_STILL = Path(0.0, 0.0, 1.0, 0.0, *[Oscillation(0.0, 0.0, 0.0)] * 3)
"""Reference position: front, 1 m, so that an object is drawn at its own size and motion."""
_SHARES = (0.35, 0.8)
"""Minimum and maximum height of a drawn object, in heights of the canvas."""
_LOUDEST = 6.0
"""Level differences between sources, dB either way."""
QUIETEST = 1e-4
"""Minimum RMS level assumed for a sound."""
USUAL = 0.1
"""RMS level of an average source."""


@dataclass(frozen=True)
class Appearance:
    """Appearance of a source, frame by frame, before placement."""

    frames: Sequence[NDArray[np.uint8]]
    """uint8 `(side, side, 4)` each, RGBA, colour multiplied by alpha."""
    which: NDArray[np.int64]
    """`(frames,)`: number of the picture, -1 where there is none."""
    side: Floats
    """`(frames,)`: of the square picture, in heights of the canvas."""
    roll: Floats
    """`(frames,)`: radians in the picture's plane, counter-clockwise."""
    light: Floats
    """`(frames,)`: multiplies the colours."""

    @property
    def largest(self) -> float:
        """Side that no frame exceeds, in heights of the canvas."""
        return float(self.side.max())


class Source(ABC):
    """Somebody in a scene; a pure function of how they were drawn."""

    kind: str

    @abstractmethod
    def audio(self, form: Format) -> Signal:
        """Audio of the source at its own level: float32 `(form.span().samples,)`, with the lead-in."""

    @abstractmethod
    def appearance(self, form: Format) -> Appearance:
        """Appearance of the source."""

    def loudness(self, form: Format) -> float:
        """How loud they are, 1 for a root mean square of 0.1."""
        rendered = self.audio(form)[-len(form.sample_times()) :]
        return max(QUIETEST, float(np.sqrt((rendered**2).mean()))) / USUAL


@dataclass(frozen=True)
class MadeUp(Source):
    """An individual of a built-in kind, there all the time."""

    thing: DrawnObject

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Name of its kind."""
        return self.thing.kind

    def audio(self, form: Format) -> Signal:
        """See `Actor.audio`."""
        gain = np.float32(USUAL * 10 ** (self.thing.loudness / 20))
        return dry(self.thing.voice, self.thing.kind, form.span()) * gain

    def appearance(self, form: Format) -> Appearance:
        """One picture that sways, turns and pulses."""
        seen = self.thing.track(form)
        which = np.zeros(len(seen.tangent), np.int64)
        # Seen from 1 m, the tangent is the radius.
        return Appearance((sprite(self.thing.look, self.kind),), which, 2 * seen.tangent, seen.roll, seen.light)


class SourcePool(ABC):
    """Those whom the actors of a world are drawn from; pickled to the processes that render it."""

    @property
    @abstractmethod
    def kinds(self) -> dict[str, int]:
        """Names of the kinds, and how many different individuals each has at most."""

    @abstractmethod
    def actors(self, rng: np.random.Generator, kinds: Sequence[str], form: Format) -> list[Source]:
        """Draw one individual for each kind named; a kind named twice gives two different ones."""

    @abstractmethod
    def trio(self, rng: np.random.Generator, index: int, count: int, form: Format) -> list[Source]:
        """Draw `count` different actors for scene number `index`; the scenes go through all as the first in turn."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Identity of the source."""

    @abstractmethod
    def prepare(self, form: Format, progress: bool) -> None:
        """Make what the actors need, before the first plays."""


@dataclass(frozen=True)
class BuiltInSources(SourcePool):
    """The built-in kinds, of each as many individuals as are wanted."""

    @property
    def kinds(self) -> dict[str, int]:
        """All of `avssl.synth.sources.classes`."""
        return {kind.name: 1 << 31 for kind in KINDS}

    def actors(self, rng: np.random.Generator, kinds: Sequence[str], form: Format) -> list[Source]:
        """See `Company.actors`."""
        return [synthetic(rng, kind) for kind in kinds]

    def trio(self, rng: np.random.Generator, index: int, count: int, form: Format) -> list[Source]:
        """See `Company.trio`."""
        first = index % len(KINDS)
        others = [number for number in rng.permutation(len(KINDS)).tolist() if number != first]
        return self.actors(rng, [KINDS[number].name for number in (first, *others[: count - 1])], form)

    def settings(self) -> dict[str, object]:
        """See `Company.settings`."""
        return {"sources": "built-in"}

    def prepare(self, form: Format, progress: bool) -> None:
        """They are made up as they are needed."""


def synthetic(rng: np.random.Generator, kind: str) -> MadeUp:
    """Draw an individual of a built-in kind, named."""
    radii = np.degrees(np.arctan(np.array(_SHARES) / 2))
    thing = draw_thing(rng, 0, kind, _STILL, (float(radii[0]), float(radii[1])))
    return MadeUp(replace(thing, loudness=float(rng.uniform(-_LOUDEST, _LOUDEST)), sounding=True))
