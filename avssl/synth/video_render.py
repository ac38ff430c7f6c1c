"""Video rendering of a scene: objects over a background, projected by its lens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.backgrounds import draw_background
from avssl.synth.projection.tangent_plane import tangent_basis
from avssl.synth.scene import Format, Scene, SceneObject, loudness
from avssl.synth.sources.classes import BY_NAME
from avssl.synth.sprites.appearance import Appearance, paint
from avssl.synth.sprites.drawing import SIDE

Floats = NDArray[np.float64]

FLASH = 0.2
"""Darkening of an object at the minimum of its sound level, as a fraction."""
OVERSAMPLING = 1.4
"""Pixels of a sprite per pixel of the frame: sharp, without aliasing."""


@dataclass(frozen=True)
class Track:
    """An object frame by frame; all fields `(frames,)`."""

    azimuth: Floats
    """Radians, not wrapped."""
    elevation: Floats
    distance: Floats
    """Metres."""
    tangent: Floats
    """Tangent of the angular radius."""
    roll: Floats
    """Radians in the picture's plane."""
    light: Floats

    def bases(self) -> Floats:
        """Right, up, forward of the object's plane `(frames, 3, 3)`."""
        return tangent_basis(self.azimuth, self.elevation, self.roll)


def track(thing: SceneObject, form: Format) -> Track:
    """Follow an object through the frames, its pulse included."""
    times, look = form.frame_times(), thing.look
    azimuth, elevation, distance = thing.path.at(times)
    loud = loudness(thing, form)
    swing = look.wobble * np.sin(2 * np.pi * look.wobble_rate * times)
    return Track(
        azimuth=azimuth,
        elevation=elevation,
        distance=distance,
        tangent=look.radius / distance * (1 + look.pulse * (loud - 0.5)),
        roll=look.tilt + swing + 2 * np.pi * look.spin * times,
        light=1 - FLASH * (1 - loud),
    )


@lru_cache(maxsize=16)
def sprite(look: Appearance, kind: str) -> NDArray[np.uint8]:
    """An object's picture at full resolution, RGBA, colour multiplied by alpha; read-only."""
    image = paint(look, BY_NAME[kind].silhouette)
    image.setflags(write=False)
    return image


def render_frames(scene: Scene, form: Format) -> Iterator[NDArray[np.uint8]]:
    """Frames `(height, width, 3)`, uint8 RGB, one after the other; nearer objects hide farther ones."""
    lens = form.lens()
    backdrop = draw_background(scene.background, lens)
    tracks = [track(thing, form) for thing in scene.things]
    whole = [sprite(thing.look, thing.kind) for thing in scene.things]
    sprites = [_fitting(image, each, lens.around) for image, each in zip(whole, tracks, strict=True)]
    bases = [each.bases() for each in tracks]
    for frame in range(len(form.frame_times())):
        image = backdrop.copy()
        for k in np.argsort([-each.distance[frame] for each in tracks], kind="stable"):
            tangent, light = tracks[k].tangent[frame], tracks[k].light[frame]
            lens.stamp(image, sprites[k], bases[k][frame], float(tangent), float(light))
        yield image


def _fitting(image: NDArray[np.uint8], path: Track, around: float) -> NDArray[np.uint8]:
    """The picture at about the size it is seen at, averaged, so that it does not flicker."""
    seen = 2 * float(np.median(path.tangent)) * around / (2 * np.pi)
    side = int(np.clip(round(OVERSAMPLING * seen), 8, SIDE))
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
