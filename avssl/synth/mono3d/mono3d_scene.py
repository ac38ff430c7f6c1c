"""Scenes of MonoTo3D: sources and their random walks, sampled before rendering."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from avssl.synth.acoustics.room import Room, draw_room
from avssl.synth.canvas.compositing import Canvas
from avssl.synth.mono3d.camera_turn import CameraTurn, TurnedWalk, draw_turn
from avssl.synth.random_walk import Walk, draw_walk
from avssl.synth.sources.source_pool import Source, SourcePool

TYPES = ("P1", "P2", "P3", "P4", "P5")
"""One source; several of different kinds; several of one kind; several, in front of a background, one of them silent
and in the way, with ambient sound all around; several of different kinds before a camera at an angle."""
MIXED = TYPES[:4]
"""Types of mixed scenes."""
DEPTHS = ("all", "front", "behind")
"""Sources in the whole cube; in its front half; one of them behind the viewer and the others in the front half."""
_LOUDEST = 3.0
"""Level differences between sources, dB either way."""
CAST, WALKS, AROUND, TYPE, CAMERA = range(5)
"""Independent random streams."""


@dataclass(frozen=True)
class Patterns:
    """Scenes that are drawn."""

    types: tuple[str, ...] = MIXED
    """Some of `TYPES`, each as often."""
    most: int = 3
    """Maximum number of sources of a scene."""
    depth: str = "all"
    """One of `DEPTHS`."""


@dataclass(frozen=True)
class Wandering:
    """How far, how fast and in what detail everybody walks."""

    fraction: float = 0.25
    """Fraction of the positions of a walk that are drawn; the others are interpolated."""
    step: float = 0.25
    """Largest step along an axis between two drawn places, where half the canvas is 1."""
    deviation: float = 0.2
    """Maximum distance of a centre beyond the edges, in the same unit."""


@dataclass(frozen=True, eq=False)
class Walker:
    """Somebody on their way."""

    actor: Source
    walk: Walk | TurnedWalk
    gain: float
    """0 for one who is silent."""


@dataclass(frozen=True, eq=False)
class WalkScene:
    """All there is to know of a scene."""

    index: int
    type: str
    """One of `TYPES`."""
    walkers: tuple[Walker, ...]
    background: int | None
    """Seed of the background; None for black."""
    around: Room | None
    """Source of the background noise; None: no noise."""
    camera: CameraTurn | None = None
    """Angle of the camera; None: it faces the front."""

    @property
    def key(self) -> str:
        """Names the scene in its world."""
        return f"{self.index:05d}"


def describe(seed: int, index: int, patterns: Patterns, company: SourcePool, form: Canvas, how: Wandering) -> WalkScene:
    """Scene number `index` of the world `seed`.

    Args:
        seed: of the world.
        index: of the scene.
        patterns: of the scenes.
        company: whom the actors are drawn from.
        form: of the scene.
        how: everybody walks.
    """
    streams = [np.random.default_rng((seed, index, stream)) for stream in range(5)]
    chosen = patterns.types[int(streams[TYPE].integers(len(patterns.types)))]
    actors = _cast(streams[CAST], index, chosen, patterns.most, company, form)
    rng, frames = streams[WALKS], len(form.frame_times())
    walks = [draw_walk(rng, form.seconds, frames, how.fraction, how.step) for _ in actors]
    gains = (10 ** (rng.uniform(-_LOUDEST, _LOUDEST, len(actors)) / 20)).tolist()
    if chosen == "P4":
        gains[-1] = 0.0
    around = streams[AROUND]
    camera = draw_turn(streams[CAMERA], form.seconds) if chosen == "P5" else None
    placed = _deep(walks, patterns.depth, max(number for number, gain in enumerate(gains) if gain))
    seen = placed if camera is None else [TurnedWalk(walk, camera) for walk in placed]
    return WalkScene(
        index=index,
        type=chosen,
        walkers=tuple(map(Walker, actors, seen, gains)),
        background=int(around.integers(2**31)) if chosen == "P4" else None,
        around=draw_room(around) if chosen == "P4" else None,
        camera=camera,
    )


def _deep(walks: list[Walk], depth: str, behind: int) -> list[Walk]:
    """Walks in the part of the cube that a depth means; `behind`: number of the one that may be behind the viewer."""
    if depth == "all":
        return walks
    sides = [-1 if depth == "behind" and number == behind else 1 for number in range(len(walks))]
    return [
        replace(walk, places=np.concatenate([walk.places[:, :2], side * np.abs(walk.places[:, 2:])], 1))
        for walk, side in zip(walks, sides, strict=True)
    ]


def _cast(
    rng: np.random.Generator, index: int, chosen: str, most: int, company: SourcePool, form: Canvas
) -> list[Source]:
    kinds = company.kinds
    if chosen == "P1":
        return company.trio(rng, index, 1, form)
    count = int(rng.integers(2, most + 1))
    if chosen == "P3":
        several = [kind for kind, each in kinds.items() if each > 1]
        kind = several[int(rng.integers(len(several)))]
        return company.actors(rng, [kind] * min(count, kinds[kind]), form)
    if chosen == "P4":
        return company.trio(rng, index, min(count + 1, sum(kinds.values())), form)
    names = rng.permutation(list(kinds))[:count].tolist()
    return company.actors(rng, names, form)


def lacking(types: tuple[str, ...], company: SourcePool) -> str:
    """Missing requirements of a source pool for scenes of some types; empty if none."""
    kinds = company.kinds
    for name in {"P2", "P5"} & set(types) if len(kinds) < 2 else ():
        return f"scenes of {name} want sources of at least two kinds, here are only {', '.join(kinds)}"
    if "P3" in types and max(kinds.values()) < 2:
        return "scenes of P3 want two sources of one kind, here is one of each"
    if "P4" in types and sum(kinds.values()) < 2:
        return "scenes of P4 want at least two sources, here is one"
    return ""
