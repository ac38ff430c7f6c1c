"""Ground truth of a scene: position, activity and visible fraction of every object in every frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.projection.lens import Lens
from avssl.synth.scene import Scene
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import SceneObject, Track
from avssl.synth.sprites.drawing import SIDE

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
    tracks = [thing.track(form) for thing in scene.things]
    columns = [_facts(scene, thing, path, form) for thing, path in zip(scene.things, tracks, strict=True)]
    for thing, seen in zip(columns, _visible(tracks, form.lens()), strict=True):
        thing["visible"] = seen
    merged = {name: np.stack([each[name] for each in columns], axis=1).reshape(-1) for name in SCHEMA.names}
    return pa.table({name: pa.array(merged[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)


def _facts(scene: Scene, thing: SceneObject, path: Track, form: Format) -> dict[str, NDArray[Any]]:
    times = form.frame_times()
    left, top, right, bottom = _boxes(path, form.lens())
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


def _boxes(path: Track, lens: Lens) -> Floats:
    """Left, top, right, bottom of an object in every frame `(4, frames)`."""
    found = np.zeros((4, len(path.which)))
    for frames, image in path.by_image():
        part = path.at(frames)
        found[:, frames] = lens.box(_outline(part, _solid(image)), part.azimuth)
    return found


def _solid(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels that hide what lies behind; of a faint image, those of at least half its greatest alpha."""
    return np.asarray(image[..., 3] > min(127, int(image[..., 3].max()) // 2))


def _outline(path: Track, solid: NDArray[np.bool_]) -> Floats:
    """Unit vectors `(frames, points, 3)` to the outline of an object."""
    contours, _ = cv2.findContours(solid.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return _rays(path, _unit(np.concatenate(contours)[:, 0, ::-1]))


def _unit(pixels: NDArray[Any]) -> Floats:
    """Rows and columns `(n, 2)` of an object's image as right and up in -1..1."""
    return np.stack([(pixels[:, 1] + 0.5) / SIDE * 2 - 1, 1 - (pixels[:, 0] + 0.5) / SIDE * 2], axis=1)


def _rays(path: Track, points: Floats) -> Floats:
    """Directions `(frames, n, 3)` of points `(n, 2)` of an object's image."""
    bases = path.bases()
    rays = path.tangent[:, None, None] * (points @ bases[:, :2]) + bases[:, 2:]
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _visible(tracks: list[Track], lens: Lens) -> list[Floats]:
    """Share of each object that is seen, `(frames,)`."""
    found = [np.zeros(len(path.which)) for path in tracks]
    for k, path in enumerate(tracks):
        others = [other for other in tracks if other is not path]
        for frames, image in path.by_image():
            rays = _rays(path.at(frames), _probes(_solid(image)))
            hidden = ~lens.holds(rays)
            for other in (each.at(frames) for each in others):
                nearer = other.distance < path.distance[frames]
                if nearer.any():
                    hidden |= nearer[:, None] & _covers(other, rays)
            found[k][frames] = 1 - hidden.mean(1)
    return found


def _probes(solid: NDArray[np.bool_]) -> Floats:
    """Sample points of an object `(n, 2)`, right and up in -1..1; all its pixels where it is too thin for a grid."""
    step = SIDE // PROBES
    grid = np.argwhere(solid[step // 2 :: step, step // 2 :: step]) * step + step // 2
    return _unit(grid if len(grid) else np.argwhere(solid))


def _covers(path: Track, rays: Floats) -> NDArray[np.bool_]:
    """Whether directions `(frames, n, 3)` fall on an object."""
    found = np.zeros(rays.shape[:2], bool)
    for frames, image in path.by_image():
        found[frames] = _falls_on(path.at(frames), _solid(image), rays[frames])
    return found


def _falls_on(path: Track, solid: NDArray[np.bool_], rays: Floats) -> NDArray[np.bool_]:
    right, up, forward = np.moveaxis(rays @ path.bases().swapaxes(1, 2), -1, 0)
    reach = np.maximum(forward, 1e-3) * path.tangent[:, None]
    columns = np.floor((right / reach + 1) / 2 * SIDE).astype(int)
    rows = np.floor((1 - up / reach) / 2 * SIDE).astype(int)
    inside = (forward > 0) & (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    return np.asarray(inside & solid[np.clip(rows, 0, SIDE - 1), np.clip(columns, 0, SIDE - 1)])
