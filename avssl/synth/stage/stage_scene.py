"""Scenes of the stage with sources on one side: objects in view of a front camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avssl.synth.acoustics.room import draw_room
from avssl.synth.drawn_object import BUILT_IN
from avssl.synth.scene import BACKGROUND, COINS, MIRROR, OBJECTS, ROOM, Scene
from avssl.synth.scene_object import Cast, SceneObject
from avssl.synth.trajectories import Oscillation, Path, draw_path, unit_vector

COUNTS = (0.5, 0.3, 0.2)
"""Fractions of the scenes with one, two and three objects."""
ACROSS = 0.1
"""Fraction of the scenes with several objects whose last object is silent, on the other side."""
# Degrees, for a camera of 90 degrees; they shrink and grow with its field of view.
INNER, OUTER = 12.0, 38.0
"""Minimum and maximum angle of an object from the centre."""
HIGHEST = 12.0
"""Maximum elevation, up or down, of the centre of a trajectory."""
APART = 11.0
"""Minimum angle between the centres of two trajectories."""
RADII = (7.0, 13.0)
"""Minimum and maximum radius at time 0."""


@dataclass(frozen=True)
class StageScene(Scene):
    """A scene, or its mirror image."""

    mirrored: bool
    """Whether left and right of picture, sound and truth are exchanged."""


def describe(seed: int, index: int, fov: float, cast: Cast = BUILT_IN) -> StageScene:
    """Scene number `index` of the stage `seed`.

    What sounds stands on the left, and half of the scenes are mirrored whole, background and room and listener
    included: the world is its own mirror image, so that neither picture nor sound alone tells whether left and right
    were exchanged.

    Args:
        seed: of the world.
        index: of the scene.
        fov: of the camera, horizontally, radians.
        cast: whom the objects are drawn from.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(5)]
    things = _draw_things(streams[OBJECTS], fov / (np.pi / 2), cast)
    flank = [thing.number for thing in things if thing.path.azimuth > 0]
    coins = streams[COINS]
    sounding = set(coins.permutation(flank)[: coins.integers(1, len(flank) + 1)].tolist())
    return StageScene(
        seed=seed,
        index=index,
        things=tuple(replace(thing, sounding=thing.number in sounding) for thing in things),
        room=draw_room(streams[ROOM]),
        background=int(streams[BACKGROUND].integers(2**31)),
        mirrored=bool(streams[MIRROR].random() < 0.5),
    )


def _draw_things(rng: np.random.Generator, scale: float, cast: Cast) -> list[SceneObject]:
    """Objects of different kinds; angles are `scale` times those of a camera of 90 degrees."""
    count = 1 + int(rng.choice(len(COUNTS), p=COUNTS))
    across = count > 1 and rng.random() < ACROSS
    members = cast.choose(rng, count)
    places = spread_azimuths(rng, len(members), INNER + 2, scale)
    if across and len(members) > 1:
        places[-1] = -places[-1][0], places[-1][1]
    paths = [_keep(draw_path(rng, *place), scale) for place in places]
    radii = RADII[0] * scale, RADII[1] * scale
    return [member.placed(rng, k, path, radii) for k, (member, path) in enumerate(zip(members, paths, strict=True))]


def spread_azimuths(rng: np.random.Generator, count: int, least: float, scale: float) -> list[tuple[float, float]]:
    """Azimuths and elevations in radians of the middles of paths, at least `APART` from each other.

    Args:
        rng: where the randomness comes from.
        count: how many.
        least: minimum azimuth in degrees for a camera of 90 degrees; the maximum is `OUTER - 2`.
        scale: of angles, 1 for a camera of 90 degrees.
    """
    found: list[tuple[float, float]] = []
    while len(found) < count:
        azimuth = float(np.radians(rng.uniform(least, OUTER - 2) * scale))
        elevation = float(np.radians(rng.uniform(-HIGHEST, HIGHEST) * scale))
        vector = unit_vector(np.array(azimuth), np.array(elevation))
        others = [unit_vector(*map(np.array, other)) for other in found]
        if all(vector @ other < np.cos(np.radians(APART * scale)) for other in others):
            found.append((azimuth, elevation))
    return found


def _keep(path: Path, scale: float) -> Path:
    """A path that swings about its start, without drift, and stays on its side and in view however long it lasts."""
    side, middle = np.sign(path.azimuth), abs(path.azimuth)
    room = min(middle - np.radians(INNER * scale), np.radians(OUTER * scale) - middle)
    sway = replace(path.sway, amplitude=min(path.sway.amplitude * scale, room))
    return swinging(path, float(side * middle), sway, scale)


def swinging(path: Path, middle: float, sway: Oscillation, scale: float) -> Path:
    """A path without drift that swings about an azimuth, and about its elevation.

    Args:
        path: gives elevation, lift and distance.
        middle: azimuth in radians.
        sway: of the azimuth.
        scale: of the lift.
    """
    lift = replace(path.lift, amplitude=path.lift.amplitude * scale)
    azimuth, elevation = middle + _offset(sway), path.elevation + _offset(lift)
    return replace(path, azimuth=azimuth, elevation=elevation, drift=0.0, sway=sway, lift=lift)


def _offset(swing: Oscillation) -> float:
    """Where a swing about zero is at time 0."""
    return float(swing.amplitude * np.sin(swing.phase))
