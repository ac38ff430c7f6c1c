"""Built-in objects: drawn sprites with synthetic sounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avssl.synth.scene_format import Format
from avssl.synth.scene_object import Cast, Member, SceneObject, Track, loudness
from avssl.synth.sources.classes import BY_NAME, KINDS, draw_voice
from avssl.synth.sources.oscillators import Signal, Span, Voice
from avssl.synth.sprites.appearance import Appearance, paint, sample_appearance
from avssl.synth.trajectories import Path

FLASH = 0.2
"""Darkening of an object at the minimum of its sound level, as a fraction."""


@dataclass(frozen=True)
class DrawnObject(SceneObject):
    """An individual of a built-in kind."""

    look: Appearance
    voice: Voice

    def signal(self, form: Format) -> Signal:
        """See `dry`."""
        return dry(self.voice, self.kind, form.span())

    def track(self, form: Format) -> Track:
        """One image, which sways, turns and pulses with the sound."""
        times, look = form.frame_times(), self.look
        azimuth, elevation, distance = self.path.at(times)
        loud = loudness(self.signal(form), form)
        swing = look.wobble * np.sin(2 * np.pi * look.wobble_rate * times)
        return Track(
            azimuth=azimuth,
            elevation=elevation,
            distance=distance,
            tangent=look.radius / distance * (1 + look.pulse * (loud - 0.5)),
            roll=look.tilt + swing + 2 * np.pi * look.spin * times,
            light=1 - FLASH * (1 - loud),
            which=np.zeros(len(times), np.int64),
            images=(sprite(look, self.kind),),
        )


@lru_cache(maxsize=16)
def dry(voice: Voice, kind: str, span: Span) -> Signal:
    """Sound of an individual at 1 m: unit power, bounded peaks.

    Returns:
        float32 `(samples,)`, read-only.
    """
    signal = bounded(BY_NAME[kind].audio(voice, span))
    signal.setflags(write=False)
    return signal


def bounded(signal: Signal, level: float | None = None) -> Signal:
    """A signal of unit power with bounded peaks.

    Args:
        signal: `(samples,)`.
        level: its root mean square; None: computed.
    """
    level = np.sqrt(np.mean(signal**2)) if level is None else level
    return np.asarray(5 * np.tanh(signal / (level + 1e-9) / 5), np.float32)


@lru_cache(maxsize=16)
def sprite(look: Appearance, kind: str) -> NDArray[np.uint8]:
    """An individual's image at full resolution, RGBA, colour multiplied by alpha; read-only."""
    image = paint(look, BY_NAME[kind].silhouette)
    image.setflags(write=False)
    return image


def draw_thing(rng: np.random.Generator, number: int, kind: str, path: Path, radii: tuple[float, float]) -> DrawnObject:
    """A random individual of a kind, silent for now.

    Args:
        rng: where the randomness comes from.
        number: of the object in its scene.
        kind: name of its kind.
        path: where it is when.
        radii: smallest and largest it is seen with at time 0, degrees.
    """
    own = BY_NAME[kind]
    look = sample_appearance(rng, own.hue / 360, own.spins, path.distance, radii)
    voice = draw_voice(rng, own)
    return DrawnObject(number, kind, path, float(rng.uniform(-2.5, 2.5)), sounding=False, look=look, voice=voice)


@dataclass(frozen=True)
class KindMember(Member):
    """Any individual of a built-in kind."""

    kind: str

    def placed(self, rng: np.random.Generator, number: int, path: Path, radii: tuple[float, float]) -> SceneObject:
        """See `draw_thing`."""
        return draw_thing(rng, number, self.kind, path, radii)


@dataclass(frozen=True)
class BuiltInCast(Cast):
    """The built-in kinds, each with as many individuals as are wanted."""

    def choose(self, rng: np.random.Generator, count: int, alike: float = 0.0) -> list[Member]:
        """See `Cast.choose`."""
        numbers = rng.permutation(len(KINDS))[:count]
        if alike and rng.random() < alike:
            numbers[-1] = numbers[0]
        return [KindMember(KINDS[number].name) for number in numbers]


BUILT_IN = BuiltInCast()
