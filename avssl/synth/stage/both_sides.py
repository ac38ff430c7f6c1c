"""Scenes of the stage with sources on both sides: one to three, some crossing the middle, some with a silent twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avssl.synth.acoustics.room import draw_room
from avssl.synth.drawn_object import BUILT_IN
from avssl.synth.scene import BACKGROUND, COINS, MIRROR, OBJECTS, ROOM
from avssl.synth.scene_object import Cast, SceneObject
from avssl.synth.stage.stage_scene import OUTER, RADII, StageScene, spread_azimuths, swinging
from avssl.synth.trajectories import Oscillation, Path, draw_path

SOURCES = (0.25, 0.4, 0.35)
"""Fractions of the scenes with one, two and three sources."""
TWIN, BYSTANDER = 0.35, 0.25
"""Fractions of the scenes with a silent object: of the kind of a source, and of any other kind."""
CROSSING = 0.3
"""Fraction of the objects that swing from side to side."""
# Degrees, for a camera of 90 degrees; they shrink and grow with its field of view.
CROSSING_MIDDLE = 8.0
"""Maximum azimuth, left or right, of the middle of a crossing path."""
CROSSING_SWAY = (14.0, 28.0)
"""Minimum and maximum amplitude of a crossing path."""
CROSSING_RATE = (0.1, 0.25)
"""Minimum and maximum frequency of a crossing path, Hz: every 2 to 5 s it is in the middle."""


def describe(seed: int, index: int, fov: float, cast: Cast = BUILT_IN) -> StageScene:
    """Scene number `index` of the stage `seed`, with sources on both sides.

    Objects, paths and sounds are drawn apart from which objects sound, and sides apart from one another: neither a
    frame nor the other sources tell where a source is. Of two objects of one kind, one sounds; only the change of
    their frames over time tells which.

    Args:
        seed: of the world.
        index: of the scene.
        fov: of the camera, horizontally, radians.
        cast: whom the objects are drawn from; where it has too few, there are fewer sources.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(5)]
    things, silent = _draw_things(streams[OBJECTS], streams[COINS], fov / (np.pi / 2), cast)
    return StageScene(
        seed=seed,
        index=index,
        things=tuple(replace(thing, sounding=thing.number != silent) for thing in things),
        room=draw_room(streams[ROOM]),
        background=int(streams[BACKGROUND].integers(2**31)),
        mirrored=bool(streams[MIRROR].random() < 0.5),
    )


def _draw_things(
    rng: np.random.Generator, coins: np.random.Generator, scale: float, cast: Cast
) -> tuple[list[SceneObject], int | None]:
    """Objects, and the number of the silent one."""
    sources = 1 + int(rng.choice(len(SOURCES), p=SOURCES))
    draw = rng.random()
    twin, spare = draw < TWIN, draw < TWIN + BYSTANDER
    members = cast.choose(rng, sources + spare, float(twin))
    places = spread_azimuths(rng, len(members), 2 - OUTER, scale)
    paths = [_swing(rng, draw_path(rng, *place), scale) for place in places]
    radii = RADII[0] * scale, RADII[1] * scale
    things = [member.placed(rng, k, path, radii) for k, (member, path) in enumerate(zip(members, paths, strict=True))]
    return things, _silent(coins, things, twin) if spare and len(things) > 1 else None


def _silent(coins: np.random.Generator, things: list[SceneObject], twin: bool) -> int:
    """The silent object: one of the first and last where they are twins, else any."""
    alike = twin and things[0].kind == things[-1].kind
    return int(coins.choice([0, len(things) - 1] if alike else len(things)))


def _swing(rng: np.random.Generator, path: Path, scale: float) -> Path:
    """A path that swings about its start or from side to side, in view however long it lasts."""
    if rng.random() < CROSSING:
        middle = float(np.radians(rng.uniform(-CROSSING_MIDDLE, CROSSING_MIDDLE) * scale))
        amplitude = float(np.radians(rng.uniform(*CROSSING_SWAY) * scale))
        sway = Oscillation(amplitude, float(rng.uniform(*CROSSING_RATE)), float(rng.uniform(0, 2 * np.pi)))
        return swinging(path, middle, sway, scale)
    room = np.radians(OUTER * scale) - abs(path.azimuth)
    sway = replace(path.sway, amplitude=float(min(path.sway.amplitude * scale, room)))
    return swinging(path, path.azimuth, sway, scale)
