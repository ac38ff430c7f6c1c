"""Video rendering of a scene: objects over a background, projected by its lens."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.backgrounds import draw_background
from avssl.synth.scene import Scene
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import Track
from avssl.synth.sprites.drawing import SIDE

OVERSAMPLING = 1.4
"""Pixels of a sprite per pixel of the frame: sharp, without aliasing."""


def render_frames(scene: Scene, form: Format) -> Iterator[NDArray[np.uint8]]:
    """Frames `(height, width, 3)`, uint8 RGB, one after the other; nearer objects hide farther ones."""
    lens = form.lens()
    backdrop = draw_background(scene.background, lens) if scene.image is None else scene.image.draw(lens)
    tracks = [thing.track(form) for thing in scene.things]
    sprites = [_fitting(each, lens.around) for each in tracks]
    bases = [each.bases() for each in tracks]
    for frame in range(len(form.frame_times())):
        image = backdrop.copy()
        for k in np.argsort([-each.distance[frame] for each in tracks], kind="stable"):
            path = tracks[k]
            shown = sprites[k][int(path.which[frame])]
            lens.stamp(image, shown, bases[k][frame], float(path.tangent[frame]), float(path.light[frame]))
        yield image


def _fitting(path: Track, around: float) -> dict[int, NDArray[np.uint8]]:
    """The images in use, at about the size they are seen at, averaged, so that they do not flicker."""
    seen = 2 * float(np.median(path.tangent)) * around / (2 * np.pi)
    side = int(np.clip(round(OVERSAMPLING * seen), 8, SIDE))
    return {
        number: np.asarray(cv2.resize(path.images[number], (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        for number in np.unique(path.which).tolist()
    }
