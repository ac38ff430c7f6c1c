"""Preview of detections: boxes drawn on the equirectangular frames of a few clips."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.detection.frame_source import Panorama, Panoramas
from avssl.io.atomic import replacing
from avssl.media import read_frames
from avssl.spatial.boxes import outline

CLIPS = 6
"""Clips shown: those with the highest sum of scores in one frame."""
HEIGHT = 448
"""Rows of each panorama."""
COLOURS = ((80, 220, 80), (240, 200, 60), (70, 160, 250), (240, 110, 110), (210, 120, 240), (80, 220, 230))
"""RGB, cycled over labels."""


def write_overlay(path: Path, table: pa.Table, panoramas: Panoramas) -> None:
    """Draw the best frame of each of a few clips, stacked vertically; no file is written without objects.

    Args:
        path: of the JPEG file.
        table: rows of `object_index.SCHEMA`.
        panoramas: the equirectangular frames of every clip.

    Raises:
        OSError: the file cannot be written.
    """
    best = _best_instants(table)
    if not best:
        path.unlink(missing_ok=True)
        return
    sheet = np.concatenate([_drawn(panoramas.to_show(key), time, rows) for key, time, rows in best])
    whole, coded = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert whole
    with replacing(path) as part:
        part.write_bytes(coded.tobytes())


Box = dict[str, Any]


def _best_instants(table: pa.Table) -> list[tuple[str, float, list[Box]]]:
    """Clip, time and rows with the highest sum of scores, one time per clip."""
    found = table.group_by(["key", "time"]).aggregate([("score", "sum")]).sort_by([("score_sum", "descending")])
    best: dict[str, float] = {}
    for row in found.select(["key", "time"]).to_pylist():
        best.setdefault(row["key"], row["time"])
        if len(best) == CLIPS:
            break
    keys, times = table["key"].to_numpy(zero_copy_only=False), table["time"].to_numpy()
    return [(key, time, table.filter((keys == key) & (times == time)).to_pylist()) for key, time in best.items()]


def _drawn(panorama: Panorama, time: float, rows: list[Box]) -> NDArray[np.uint8]:
    frame = read_frames(panorama.path, [panorama.start + time], (HEIGHT, 2 * HEIGHT), panorama.stream)[0]
    image = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    labels = sorted({row["label"] for row in rows})
    for row in reversed(rows):
        _draw_box(image, row, COLOURS[labels.index(row["label"]) % len(COLOURS)])
    return image


def _draw_box(image: NDArray[np.uint8], row: Box, colour: tuple[int, int, int]) -> None:
    box = np.radians([row[name] for name in ("azimuth", "elevation", "width", "height")])
    edge = outline(box)
    points = np.stack([(0.5 - edge[:, 0] / (2 * np.pi)) * 2 * HEIGHT, (0.5 - edge[:, 1] / np.pi) * HEIGHT], 1)
    for start, end in pairwise(points):
        # A line from one side of the seam to the other would cross the whole image.
        if abs(start[0] - end[0]) < HEIGHT:
            cv2.line(image, _pixel(start), _pixel(end), colour, 2, cv2.LINE_AA)
    place = (int(np.clip(points[:, 0].min(), 0, 2 * HEIGHT - 90)), int(np.clip(points[:, 1].min() - 4, 12, HEIGHT)))
    text = f"{row['label']} {row['score']:.2f}"
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
