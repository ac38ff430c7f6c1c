"""A scene: objects and trajectories, room, background; sampled before rendering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avssl.synth.acoustics.room import Room, draw_room
from avssl.synth.projection.lens import Lens, Panorama
from avssl.synth.sources.classes import BY_NAME, KINDS, draw_voice
from avssl.synth.sources.oscillators import Signal, Span, Voice
from avssl.synth.sprites.appearance import Appearance, sample_appearance
from avssl.synth.trajectories import Path, draw_path, spread

RADII = (11.0, 21.0)
"""Minimum and maximum radius at time 0, degrees."""
APART = np.radians(26.0)
"""Minimum angle between objects at the start."""
HIGHEST_START = np.radians(35.0)
OBJECTS, COINS, ROOM, BACKGROUND = range(4)
"""Independent random streams: active sources are drawn apart from all else."""
LOOK_ALIKE = 0.5
"""Fraction of scenes with two objects of one class; in half of these one of the two is silent."""
ENVELOPE_RATE = 64
"""Rate at which loudness drives the pulse, Hz."""
LEAD = 0.3
"""Lead-in of the audio before the scene, s, for delays and reverberation."""


@dataclass(frozen=True)
class Format:
    """How a scene is written down: what is seen all around, and when."""

    seconds: float = 4.0
    width: int = 448
    """Columns of a frame; half as many rows."""
    frame_rate: float = 16.0
    """Frames a second."""
    sample_rate: int = 24000
    """Hz."""

    def lens(self) -> Lens:
        """Lens of the camera."""
        return Panorama(self.width)

    def frame_times(self) -> NDArray[np.float64]:
        """Seconds of every frame."""
        return np.arange(max(1, round(self.seconds * self.frame_rate))) / self.frame_rate

    def sample_times(self) -> NDArray[np.float64]:
        """Seconds of every sample."""
        return np.arange(round(self.seconds * self.sample_rate)) / self.sample_rate

    def span(self) -> Span:
        """The instants that dry sounds are made for."""
        lead = round(LEAD * self.sample_rate)
        return Span(-lead / self.sample_rate, lead + round(self.seconds * self.sample_rate), self.sample_rate)


@dataclass(frozen=True)
class SceneObject:
    """One object."""

    number: int
    kind: str
    look: Appearance
    voice: Voice
    path: Path
    loudness: float
    """Decibels at the listener at time 0, relative to the other objects."""
    sounding: bool


@dataclass(frozen=True)
class Scene:
    """All there is to know of a scene, whatever its length and resolution."""

    seed: int
    index: int
    things: tuple[SceneObject, ...]
    room: Room
    background: int
    """Seed of the background."""

    @property
    def key(self) -> str:
        """Names the scene in its world."""
        return f"{self.index:05d}"


def describe(seed: int, index: int) -> Scene:
    """Scene number `index` of the world `seed`: a pure function of the two.

    Everything about the objects, their sounds included, is drawn before and apart from which of them sound, so the
    picture alone says nothing about that.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(4)]
    things = _draw_things(streams[OBJECTS])
    most = min(3, len(things))
    sounding = set(streams[COINS].permutation(len(things))[: streams[COINS].integers(1, most + 1)].tolist())
    things = [replace(thing, sounding=thing.number in sounding) for thing in things]
    return Scene(seed, index, tuple(things), draw_room(streams[ROOM]), int(streams[BACKGROUND].integers(2**31)))


def _draw_things(rng: np.random.Generator) -> list[SceneObject]:
    count = int(rng.integers(2, 7))
    numbers = rng.permutation(len(KINDS))[:count]
    if rng.random() < LOOK_ALIKE:
        numbers[-1] = numbers[0]
    directions = spread(rng, count, APART, HIGHEST_START)
    return [draw_thing(rng, k, KINDS[numbers[k]].name, draw_path(rng, *directions[k])) for k in range(count)]


def draw_thing(
    rng: np.random.Generator, number: int, kind: str, path: Path, radii: tuple[float, float] = RADII
) -> SceneObject:
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
    return SceneObject(number, kind, look, voice, path, float(rng.uniform(-2.5, 2.5)), sounding=False)


@lru_cache(maxsize=16)
def dry(voice: Voice, kind: str, span: Span) -> Signal:
    """Sound of an object at 1 m, also of a silent one: unit power, bounded peaks.

    Returns:
        float32 `(samples,)`, read-only.
    """
    signal = BY_NAME[kind].audio(voice, span)
    signal = np.asarray(5 * np.tanh(signal / (np.sqrt(np.mean(signal**2)) + 1e-9) / 5), np.float32)
    signal.setflags(write=False)
    return signal


def loudness(thing: SceneObject, form: Format) -> NDArray[np.float64]:
    """How loud an object is, or would be, at every frame: 0..1, the root of its short-time amplitude."""
    step = round(form.sample_rate / ENVELOPE_RATE)
    signal = dry(thing.voice, thing.kind, form.span())
    blocks = len(signal) // step
    power = (signal[: blocks * step].reshape(blocks, step) ** 2).mean(1)
    level = np.convolve(power, [0.25, 0.5, 0.25], "same") ** 0.25
    centres = (np.arange(blocks) + 0.5) * step / form.sample_rate - LEAD
    return np.asarray(np.interp(form.frame_times(), centres, level / level.max()))
