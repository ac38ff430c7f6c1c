"""Ground truth of a scene on a canvas: position and visible fraction of every source in every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.synth.annotations.sphere import WHO
from avssl.synth.canvas.compositing import Canvas, Spot, lay
from avssl.synth.sources.source_pool import Appearance

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

SCHEMA = pa.schema(
    [
        *WHO,
        ("x_min", pa.float32()),
        ("y_min", pa.float32()),
        ("x_max", pa.float32()),
        ("y_max", pa.float32()),
        ("visible", pa.float32()),
        ("x", pa.float32()),
        ("y", pa.float32()),
    ]
)
"""`time` in seconds; `azimuth` (-180..180, left is +) and `elevation` in degrees: where the sound comes from; `x`, `y`
the middle of the object and the box around the part of it that is in the picture, in 0..1 of the picture to the right
and down, empty where none of it is drawn; `visible`: share 0..1 of the object that is in the picture and that no other
one hides."""
_FINEST = 96
"""Width in pixels of the small canvas on which occlusion is counted."""


@dataclass(frozen=True)
class Placed:
    """Somebody and where they are, frame by frame."""

    kind: str
    audible: bool
    """Whether there is a sound to it."""
    look: Appearance
    x: Floats
    """`(frames,)`: middle, pixels from the left edge."""
    y: Floats
    side: Floats
    """`(frames,)`: of the square picture, pixels; below 1 it is not drawn."""
    azimuth: Floats
    """Radians."""
    elevation: Floats

    @cached_property
    def hulls(self) -> dict[int, Floats]:
        """Convex hull of each image in use, by its index."""
        return {number: _hull(self.look.frames[number]) for number in set(self.look.which.tolist()) - {-1}}

    def drawn(self, frame: int) -> bool:
        """Whether there is anything to draw in a frame."""
        return bool(self.look.which[frame] >= 0 and self.side[frame] >= 1)

    def shown(self, frame: int) -> tuple[Image, Spot]:
        """The picture in a frame and where it lies."""
        number, side = int(self.look.which[frame]), float(self.side[frame])
        spot = Spot(float(self.x[frame]), float(self.y[frame]), side, float(self.look.roll[frame]))
        return self.look.frames[number], spot

    def box(self, frame: int, size: tuple[int, int]) -> Floats:
        """Left, top, right, bottom of what falls on a canvas of `(height, width)`, in 0..1 of it."""
        if not self.drawn(frame):
            return np.zeros(4)
        _, spot = self.shown(frame)
        cosine, sine = np.cos(spot.roll), np.sin(spot.roll)
        turned = self.hulls[int(self.look.which[frame])] @ np.array([[cosine, -sine], [sine, cosine]])
        places = np.array([spot.x, spot.y]) + spot.side / 2 * turned
        inside = np.clip(places / (size[1], size[0]), 0, 1)
        return np.concatenate([inside.min(0), inside.max(0)])


def truth(key: str, form: Canvas, placed: Sequence[Placed], order: NDArray[np.int64]) -> pa.Table:
    """One row a frame and object, frames first, with the columns of `SCHEMA`.

    Args:
        key: of the scene.
        form: of the canvas.
        placed: who is where.
        order: `(frames, objects)`: numbers of the objects as they are painted, the last one on top.
    """
    times = form.frame_times()
    shape, size = (len(times), len(placed)), (form.height, form.width)
    boxes = np.array([[each.box(frame, size) for each in placed] for frame in range(shape[0])])
    columns = {
        "key": np.full(shape, key),
        "frame": np.broadcast_to(np.arange(shape[0])[:, None], shape),
        "time": np.broadcast_to(times[:, None], shape),
        "object": np.broadcast_to(np.arange(shape[1]), shape),
        "kind": np.broadcast_to(np.array([each.kind for each in placed]), shape),
        "sounding": np.stack([each.audible & (each.look.which >= 0) for each in placed], 1),
        "azimuth": np.degrees(np.stack([each.azimuth for each in placed], 1)),
        "elevation": np.degrees(np.stack([each.elevation for each in placed], 1)),
        "visible": np.stack(list(_visible(placed, order, form))),
        "x": np.stack([each.x for each in placed], 1) / form.width,
        "y": np.stack([each.y for each in placed], 1) / form.height,
    } | dict(zip(("x_min", "y_min", "x_max", "y_max"), np.moveaxis(boxes, -1, 0), strict=True))
    arrays = [pa.array(columns[name].reshape(-1)).cast(SCHEMA.field(name).type) for name in SCHEMA.names]
    return pa.table(arrays, schema=SCHEMA)


def _hull(image: Image) -> Floats:
    """Corners `(n, 2)` around what is solid in a picture, right and down in -1..1."""
    rows, columns = np.nonzero(image[..., 3] > 127)
    if not len(rows):
        return np.zeros((1, 2))
    corners = np.concatenate([np.stack([columns + right, rows + below], 1) for right in (0, 1) for below in (0, 1)])
    return np.asarray(cv2.convexHull(corners.astype(np.int32))[:, 0] / image.shape[0] * 2 - 1)


def _visible(placed: Sequence[Placed], order: NDArray[np.int64], form: Canvas) -> Iterator[Floats]:
    """Share of each object that is seen, `(objects,)` a frame."""
    scale = min(1.0, _FINEST / form.width)
    size = round(form.height * scale), round(form.width * scale)
    for frame, painted in enumerate(order):
        free, shares = np.ones(size, np.float32), np.zeros(len(placed))
        for number in reversed(painted.tolist()):
            if placed[number].drawn(frame):
                image, spot = placed[number].shown(frame)
                shares[number] = _take(free, image, spot, scale)
        yield shares


def _take(free: NDArray[np.float32], image: Image, spot: Spot, scale: float) -> float:
    """Share of a picture that falls on what is still free of the canvas; it is not free afterwards."""
    small = Spot(spot.x * scale, spot.y * scale, max(1.0, spot.side * scale), spot.roll)
    piece = lay(image, small, (free.shape[0], free.shape[1]))
    if piece is None:
        return 0.0
    solid = piece.pixels[..., 3] * np.float32(1 / 255)
    place = free[piece.rows, piece.columns]
    seen = float((solid * place).sum())
    place *= 1 - solid
    whole = float(image[..., 3].mean()) / 255 * small.side**2
    return min(1.0, seen / whole) if whole else 0.0
