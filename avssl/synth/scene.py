"""A scene: objects and trajectories, room, background; sampled before rendering."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from avssl.synth.acoustics.room import Room, draw_room
from avssl.synth.drawn_object import BUILT_IN
from avssl.synth.scene_format import Format as Format
from avssl.synth.scene_object import Cast, SceneObject
from avssl.synth.trajectories import draw_path, spread
from avssl.synth.user_media.ambience_recording import AmbienceExcerpt
from avssl.synth.user_media.background_image import BackgroundImage
from avssl.synth.user_media.room_response import ResponseFile

RADII = (11.0, 21.0)
"""Minimum and maximum radius at time 0, degrees."""
APART = np.radians(26.0)
"""Minimum angle between objects at the start."""
HIGHEST_START = np.radians(35.0)
OBJECTS, COINS, ROOM, BACKGROUND, MIRROR, MEDIA = range(6)
"""Independent random streams: active sources are drawn apart from all else."""
LOOK_ALIKE = 0.5
"""Fraction of scenes with two objects of one class; in half of these one of the two is silent."""


@dataclass(frozen=True)
class Scene:
    """All there is to know of a scene, whatever its length and resolution."""

    seed: int
    index: int
    things: tuple[SceneObject, ...]
    room: Room
    background: int
    """Seed of the background."""
    image: BackgroundImage | None = field(default=None, kw_only=True)
    """Background from a photograph."""
    responses: tuple[ResponseFile, ...] = field(default=(), kw_only=True)
    """Measured response of the room from each object, by its number; none: the room is simulated."""
    ambience: AmbienceExcerpt | None = field(default=None, kw_only=True)
    """Background sound from a recording."""

    @property
    def key(self) -> str:
        """Names the scene in its world."""
        return f"{self.index:05d}"


def describe(seed: int, index: int, cast: Cast = BUILT_IN) -> Scene:
    """Scene number `index` of the world `seed`: a pure function of the two and of the cast.

    Everything about the objects, their sounds included, is drawn before and apart from which of them sound, so the
    picture alone says nothing about that.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(4)]
    things = _draw_things(streams[OBJECTS], cast)
    most = min(3, len(things))
    sounding = set(streams[COINS].permutation(len(things))[: streams[COINS].integers(1, most + 1)].tolist())
    things = [replace(thing, sounding=thing.number in sounding) for thing in things]
    return Scene(seed, index, tuple(things), draw_room(streams[ROOM]), int(streams[BACKGROUND].integers(2**31)))


def _draw_things(rng: np.random.Generator, cast: Cast) -> list[SceneObject]:
    members = cast.choose(rng, int(rng.integers(2, 7)), LOOK_ALIKE)
    directions = spread(rng, len(members), APART, HIGHEST_START)
    paths = (draw_path(rng, *direction) for direction in directions)
    return [member.placed(rng, k, path, RADII) for k, (member, path) in enumerate(zip(members, paths, strict=True))]
