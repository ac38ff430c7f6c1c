"""Camera angles of MonoTo3D's scenes: camera and microphone turn, tilt and roll together about the centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from avssl.spatial.ambisonics import rotation
from avssl.synth.random_walk import Walk

Floats = NDArray[np.float64]

STEEPEST = np.radians((45.0, 30.0, 20.0))
"""Maximum yaw, pitch and roll, either way."""
_AXES = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Front, left, up as combinations of right, down, near."""


@dataclass(frozen=True)
class CameraTurn:
    """Orientation of the camera, which changes evenly from the start of a scene to its end; radians.

    Yaw turns to the left, pitch upwards, and roll turns the frame counter-clockwise.
    """

    start: tuple[float, float, float]
    """Yaw, pitch, roll."""
    end: tuple[float, float, float]
    seconds: float

    def angles(self, times: Floats) -> Floats:
        """Yaw, pitch and roll `(times, 3)` at some instants `(times,)`."""
        share = np.clip(times / self.seconds, 0, 1)[:, None]
        return np.asarray((1 - share) * np.array(self.start) + share * np.array(self.end))

    def seen(self, places: Floats, times: Floats) -> Floats:
        """Places `(times, 3)`, to the right, down and near, as the turned camera has them."""
        orientation = rotation(*torch.from_numpy(self.angles(times)).unbind(-1)).numpy()
        # From right, down, near to front, left, up, and back: the inverse of the orientation acts on the rows.
        return np.asarray(np.einsum("ti,tij->tj", places @ _AXES.T, orientation) @ _AXES)


@dataclass(frozen=True, eq=False)
class TurnedWalk:
    """A walk as a turning camera has it."""

    walk: Walk
    camera: CameraTurn

    def at(self, times: Floats) -> Floats:
        """See `Walk.at`; places beyond the cube lie within the sphere around it."""
        return self.camera.seen(self.walk.at(times), times)


def draw_turn(rng: np.random.Generator, seconds: float) -> CameraTurn:
    """A random turn.

    Args:
        rng: where the randomness comes from.
        seconds: length of the scene.
    """
    start, end = (tuple(rng.uniform(-STEEPEST, STEEPEST).tolist()) for _ in range(2))
    return CameraTurn(start, end, seconds)
