"""Ground truth of a scene: position, activity and visible fraction of every object in every frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.projection.lens import Lens
from avssl.synth.scene import Format, Scene, SceneObject
from avssl.synth.sprites.drawing import SIDE
from avssl.synth.video_render import Track, sprite, track

Floats = NDArray[np.float64]

WHO = (
    ("key", pa.string()),
    ("frame", pa.int32()),
    ("time", pa.float32()),
    ("object", pa.int32()),
    ("kind", pa.string()),
    ("sounding", pa.bool_()),
    ("azimuth", pa.float32()),
    ("elevation", pa.float32()),
)
"""First columns of the ground truth of every synthetic dataset: active sources, times, directions."""
SCHEMA = pa.schema(
    [
        *WHO,
        ("distance", pa.float32()),
        ("angular_radius", pa.float32()),
        ("left", pa.float32()),
        ("top", pa.float32()),
        ("right", pa.float32()),
        ("bottom", pa.float32()),
        ("visible", pa.float32()),
    ]
)
"""`time` in seconds; `azimuth` (-180..180), `elevation`, `angular_radius` in degrees; `distance` in metres; the box in
0..1 of the frame, from its left and top edge, as the lens says; `visible`: share 0..1 of the object that is in the
picture and that no nearer one hides."""
PROBES = 16
"""Number of sample points across an object at which occlusion is tested."""


def truth(scene: Scene, form: Format) -> pa.Table:
    """One row a frame and object, frames first, with the columns of `SCHEMA`."""
    tracks = [track(thing, form) for thing in scene.things]
    solid = [sprite(thing.look, thing.kind)[..., 3] > 127 for thing in scene.things]
    columns = [_facts(scene, thing, tracks[thing.number], solid[thing.number], form) for thing in scene.things]
    for thing, seen in zip(columns, _visible(tracks, solid, form.lens()), strict=True):
        thing["visible"] = seen
    merged = {name: np.stack([each[name] for each in columns], axis=1).reshape(-1) for name in SCHEMA.names}
    return pa.table({name: pa.array(merged[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)


def _facts(
    scene: Scene, thing: SceneObject, path: Track, solid: NDArray[np.bool_], form: Format
) -> dict[str, NDArray[Any]]:
    times = form.frame_times()
    left, top, right, bottom = form.lens().box(_outline(path, solid), path.azimuth)
    same = {"key": scene.key, "object": thing.number, "kind": thing.kind, "sounding": thing.sounding}
    return {name: np.full(len(times), value) for name, value in same.items()} | {
        "frame": np.arange(len(times)),
        "time": times.astype(np.float32),
        "azimuth": ((np.degrees(path.azimuth) + 180) % 360 - 180).astype(np.float32),
        "elevation": np.degrees(path.elevation).astype(np.float32),
        "distance": path.distance.astype(np.float32),
        "angular_radius": np.degrees(np.arctan(path.tangent)).astype(np.float32),
        "left": left.astype(np.float32),
        "top": top.astype(np.float32),
        "right": right.astype(np.float32),
        "bottom": bottom.astype(np.float32),
    }


def _outline(path: Track, solid: NDArray[np.bool_]) -> Floats:
    """Unit vectors `(frames, points, 3)` to the outline of an object."""
    contours, _ = cv2.findContours(solid.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return _rays(path, _unit(np.concatenate(contours)[:, 0, ::-1]))


def _unit(pixels: NDArray[Any]) -> Floats:
    """Rows and columns `(n, 2)` of an object's picture as right and up in -1..1."""
    return np.stack([(pixels[:, 1] + 0.5) / SIDE * 2 - 1, 1 - (pixels[:, 0] + 0.5) / SIDE * 2], axis=1)


def _rays(path: Track, points: Floats) -> Floats:
    """Directions `(frames, n, 3)` of points `(n, 2)` of an object's picture."""
    bases = path.bases()
    rays = path.tangent[:, None, None] * (points @ bases[:, :2]) + bases[:, 2:]
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _visible(tracks: list[Track], solid: list[NDArray[np.bool_]], lens: Lens) -> list[Floats]:
    found = []
    for path, own in zip(tracks, solid, strict=True):
        step = SIDE // PROBES
        rows, columns = np.nonzero(own[step // 2 :: step, step // 2 :: step])
        rays = _rays(path, _unit(np.stack([rows, columns], axis=1) * step + step // 2))
        hidden = ~lens.holds(rays)
        for other, shape in zip(tracks, solid, strict=True):
            nearer = other.distance < path.distance
            if other is not path and nearer.any():
                hidden |= nearer[:, None] & _covers(other, shape, rays)
        found.append(1 - hidden.mean(1))
    return found


def _covers(path: Track, solid: NDArray[np.bool_], rays: Floats) -> NDArray[np.bool_]:
    """Whether directions `(frames, n, 3)` fall on an object."""
    right, up, forward = np.moveaxis(rays @ path.bases().swapaxes(1, 2), -1, 0)
    reach = np.maximum(forward, 1e-3) * path.tangent[:, None]
    columns = np.floor((right / reach + 1) / 2 * SIDE).astype(int)
    rows = np.floor((1 - up / reach) / 2 * SIDE).astype(int)
    inside = (forward > 0) & (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    return np.asarray(inside & solid[np.clip(rows, 0, SIDE - 1), np.clip(columns, 0, SIDE - 1)])
