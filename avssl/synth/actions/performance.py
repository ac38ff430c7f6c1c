"""Performers of a motion, their background, and the view of a shaky camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.actions.motions import MOTIONS, Floats, Motion, draw_phases
from avssl.synth.backgrounds import draw_background
from avssl.synth.canvas.compositing import Canvas, Spot, paste
from avssl.synth.drawn_object import sprite
from avssl.synth.projection.pinhole import Camera
from avssl.synth.sources.classes import KINDS
from avssl.synth.sources.source_pool import MadeUp, synthetic
from avssl.synth.trajectories import Oscillation

Image = NDArray[np.uint8]

TROUPE, CLIP = range(2)
"""Independent random streams."""
LARGEST_TROUPE = 3
MUTE = 0.5
"""Fraction of the groups without audio."""
# All lengths are in heights of the picture.
SCALE = 0.75
"""Scale of a drawn object, relative to its own size."""
ZOOM = 2.5
"""Scale of an object at its nearest position."""
PULSE = 0.25
"""Amplitude of a pulse of the size, natural logarithm."""
LIGHT = (0.4, 1.2)
MARGIN = 0.2
"""Margin of the frame on each side that a crossing does not enter, as a fraction of its width."""
PAN, TILT, SHAKE = 0.08, 0.03, 0.008
"""Maximum amplitude of the camera shake."""
ELSEWHERE = 0.2
"""Maximum offset of the view from the centre of the group's background, horizontal and vertical."""
AROUND = ELSEWHERE + 2 * (PAN + SHAKE)
"""Margin of the background beyond the frame on all sides."""


@dataclass(frozen=True)
class PerformerGroup:
    """Properties that the clips of a group share, whatever the motion."""

    players: tuple[MadeUp, ...]
    background: int
    """Seed of it."""
    sounding: bool


@dataclass(frozen=True)
class Pose:
    """An object frame by frame, `(frames,)` each."""

    x: Floats
    """Horizontal position of the centre, frame heights from the left edge."""
    y: Floats
    """From the top edge."""
    side: Floats
    """Side of the square image, frame heights."""
    roll: Floats
    """Radians, counter-clockwise."""
    light: Floats


@dataclass(frozen=True)
class Clip:
    """One performance; described before anything is drawn."""

    troupe: PerformerGroup
    players: tuple[tuple[MadeUp, Pose], ...]
    acting: int
    """So many of the players, the first, do it; the others hold still."""
    camera: Floats
    """`(2, frames)`: heights of the picture by which it moves to the right and down."""
    view: tuple[float, float]
    """Start position in the background, in the same units."""


@lru_cache(maxsize=8)
def draw_troupe(seed: int, group: int) -> PerformerGroup:
    """Performers in the clips of a group: a pure function of its number."""
    rng = np.random.default_rng((seed, TROUPE, group))
    numbers = rng.permutation(len(KINDS))[:LARGEST_TROUPE]
    players = tuple(synthetic(rng, KINDS[number].name) for number in numbers)
    return PerformerGroup(players, int(rng.integers(2**31)), rng.random() >= MUTE)


def draw_clip(seed: int, motion: Motion, group: int, number: int, form: Canvas) -> Clip:
    """One clip: a pure function of the seed, the motion, the group and its number in the group."""
    troupe = draw_troupe(seed, group)
    rng = np.random.default_rng((seed, CLIP, MOTIONS.index(motion), group, number))
    acting, still = int(rng.integers(1, 3)), int(rng.integers(2))
    who = rng.permutation(len(troupe.players))[: acting + still].tolist()
    camera = _draw_camera(rng, form)
    players = [(troupe.players[k], _draw_pose(rng, troupe.players[k], motion, place < acting, form))
               for place, k in enumerate(who)]  # fmt: skip
    across, down = rng.uniform(-ELSEWHERE, ELSEWHERE, 2).tolist()
    return Clip(troupe, tuple(players), acting, camera, (across, down))


def render_frames(clip: Clip, form: Canvas) -> Iterator[Image]:
    """Frames `(height, width, 3)`, uint8 RGB, one after the other; later players hide earlier ones."""
    backdrop = _backdrop(clip.troupe.background, form)
    size, unit = (form.width, form.height), form.height
    middle = (backdrop.shape[1] - 1) / 2 + clip.view[0] * unit, (backdrop.shape[0] - 1) / 2 + clip.view[1] * unit
    for frame, (right, down) in enumerate(clip.camera.T * unit):
        image = np.asarray(cv2.getRectSubPix(backdrop, size, (middle[0] + right, middle[1] + down)), np.uint8)
        for player, pose in clip.players:
            x, y, side = (float(each[frame]) * unit for each in (pose.x, pose.y, pose.side))
            spot = Spot(x - right, y - down, side, float(pose.roll[frame]))
            paste(image, sprite(player.thing.look, player.kind), spot, float(pose.light[frame]))
        yield image


def render_audio(clip: Clip, form: Canvas) -> NDArray[np.float32] | None:
    """Audio of the acting performers, float32 `(1, samples)`; None in a group without audio."""
    if not clip.troupe.sounding:
        return None
    rendered = sum(player.audio(form) for player, _ in clip.players[: clip.acting])
    return np.asarray(rendered, np.float32)[None, -len(form.sample_times()) :]


def _draw_camera(rng: np.random.Generator, form: Canvas) -> Floats:
    """A slow pan and tilt, and shaking; it begins anywhere in them."""
    times, path = form.frame_times(), []
    for widest in (PAN, TILT):
        pan = Oscillation(float(rng.uniform(0, widest)), float(rng.uniform(0.1, 0.3)), float(rng.uniform(0, 2 * np.pi)))
        shake = Oscillation(float(rng.uniform(0, SHAKE)), float(rng.uniform(2, 5)), float(rng.uniform(0, 2 * np.pi)))
        path.append(pan.at(times) + shake.at(times))
    return np.stack(path)


def _draw_pose(rng: np.random.Generator, player: MadeUp, motion: Motion, acts: bool, form: Canvas) -> Pose:
    """Every phase contributes to what is seen, in every motion."""
    sway, orbit = float(rng.uniform(0.12, 0.25)), float(rng.uniform(0.08, 0.16))
    phases = draw_phases(rng, motion, acts, form.frame_times())
    turn = {name: 2 * np.pi * phase for name, phase in phases.items()}
    way = {name: MARGIN + (1 - 2 * MARGIN) * phases[name] for name in ("cross", "climb")}
    size = 2 * player.thing.look.radius * SCALE * ZOOM ** (phases["zoom"] - 0.5)
    return Pose(
        x=form.width / form.height * way["cross"] + sway * np.sin(turn["sway"]) + orbit * np.cos(turn["orbit"]),
        y=1 - way["climb"] - orbit * np.sin(turn["orbit"]),
        side=size * np.exp(PULSE * np.sin(turn["pulse"])),
        roll=turn["roll"],
        light=LIGHT[0] + (LIGHT[1] - LIGHT[0]) * (1 + np.sin(turn["light"])) / 2,
    )


@lru_cache(maxsize=8)
def _backdrop(seed: int, form: Canvas) -> Image:
    """More of a surrounding than the picture shows at once."""
    more = 2 * round(AROUND * form.height)
    return draw_background(seed, Camera(form.width + more, form.height + more, np.radians(100)))
