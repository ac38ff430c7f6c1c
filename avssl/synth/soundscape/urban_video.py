"""Video of an urban scene: background, and figures that cross it or stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.backgrounds import draw_background
from avssl.synth.canvas.compositing import Canvas, Spot, paste
from avssl.synth.drawn_object import sprite
from avssl.synth.projection.pinhole import Camera
from avssl.synth.soundscape.tau_classes import UrbanScenery
from avssl.synth.sources.classes import BY_NAME, KINDS
from avssl.synth.sprites.appearance import Appearance, sample_appearance

Image = NDArray[np.uint8]

STRANGERS = 0.4
"""Mean number of figures of any class."""
RADII = (14.0, 28.0)
"""Minimum and maximum radius of a figure, degrees at 1 m: half the side of its image, in frame heights."""
_MARGIN = 0.05
"""Margin of the background beyond each edge for camera shake, in frame widths."""


@dataclass(frozen=True)
class Actor:
    """One figure of a clip; lengths in picture heights."""

    kind: str
    look: Appearance
    start: float
    """From the left edge at time 0."""
    y: float
    """From the top edge."""
    speed: float
    """To the right, a second."""


@dataclass(frozen=True)
class UrbanView:
    """All there is to see in a clip; described before anything is drawn."""

    background: int
    """Seed of it."""
    family: str
    actors: tuple[Actor, ...]
    shake: tuple[float, float, float]
    """Amplitude in picture widths, rate in Hz, phase in radians."""


def draw_vista(rng: np.random.Generator, sight: UrbanScenery, background: int, family: str, form: Canvas) -> UrbanView:
    """Video content of a clip of a class; clips of one location share the background."""
    wanted = [(each.kind, each.number, each.speed) for each in sight.figures]
    wanted.append((KINDS[rng.integers(len(KINDS))].name, STRANGERS, 0.1))
    actors = [
        _draw_actor(rng, kind, speed * form.width / form.height, form)
        for kind, number, speed in wanted
        for _ in range(rng.poisson(number))
    ]
    shake = float(sight.shake * rng.uniform(0.3, 1)), float(rng.uniform(1.5, 4)), float(rng.uniform(0, 2 * np.pi))
    return UrbanView(background, family, tuple(actors), shake)


def _draw_actor(rng: np.random.Generator, kind: str, speed: float, form: Canvas) -> Actor:
    own, wide = BY_NAME[kind], form.width / form.height
    look = sample_appearance(rng, own.hue / 360, own.spins, 1.0, RADII)
    pace = float(speed * rng.uniform(0.6, 1.4) * rng.choice([-1, 1]))
    # Those that move are in the middle of the picture at a random instant.
    start = rng.uniform(0, wide) if not pace else wide / 2 - pace * rng.uniform(0, form.seconds)
    return Actor(kind, look, float(start), float(rng.uniform(0.35, 0.8)), pace)


def render_vista(vista: UrbanView, form: Canvas) -> Iterator[Image]:
    """Frames `(height, width, 3)`, uint8 RGB, one after the other."""
    margin = round(_MARGIN * form.width)
    lens = Camera(form.width + 2 * margin, form.height + 2 * margin, np.radians(95))
    backdrop = draw_background(vista.background, lens, vista.family)
    middle = (lens.width - 1) / 2, (lens.height - 1) / 2
    amplitude, rate, phase = vista.shake
    for time in form.frame_times():
        turn = 2 * np.pi * rate * time + phase
        right, down = (amplitude * form.width * float(each) for each in (np.sin(turn), np.sin(1.7 * turn)))
        size = form.width, form.height
        image = np.asarray(cv2.getRectSubPix(backdrop, size, (middle[0] + right, middle[1] + down)), np.uint8)
        for actor in vista.actors:
            x, y = actor.start + actor.speed * time, actor.y
            spot = Spot(x * form.height - right, y * form.height - down, 2 * actor.look.radius * form.height)
            paste(image, sprite(actor.look, actor.kind), spot)
        yield image
