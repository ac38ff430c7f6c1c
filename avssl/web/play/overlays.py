"""Outlines drawn over a film: detected objects, and crops of a pretraining step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch

from avssl import plugins
from avssl.config import RunConfig, fill
from avssl.data.clip_options import CropOptions
from avssl.data.crops import Crops, draw_crops
from avssl.data.loader import read_clip
from avssl.datasets.manifest import Manifest, Row
from avssl.detection.object_index import MAX_ROWS, SCHEMA, DetectedTimes, find_objects, read_objects, read_settings
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable
from avssl.printable_text import printable
from avssl.runs.reader import CONFIG, read_config
from avssl.spatial.ambisonics import rotation

SEGMENT = 60.0
"""Seconds of outlines that the page asks for at once."""
LONGEST_LABEL = 80


@dataclass(frozen=True)
class Outline:
    """Border of a camera's view, shown for some time."""

    kind: str
    """object or crop."""
    label: str
    begin: float
    """Seconds from the film's beginning."""
    end: float
    """Seconds."""
    camera: tuple[float, ...]
    """Nine numbers, row by row: axes front, left, up as columns, in x (front), y (left), z (up)."""
    half: tuple[float, float]
    """Tangents of half the horizontal and half the vertical field of view."""


@dataclass(frozen=True)
class Overlays:
    """All outlines of a film, sorted by their begin."""

    outlines: tuple[Outline, ...] = ()

    @property
    def kinds(self) -> list[str]:
        """Kinds of outlines that there are."""
        return sorted({each.kind for each in self.outlines})

    def segment(self, index: int) -> list[dict[str, Any]]:
        """Outlines that are shown at some time of segment `index`, of `SEGMENT` seconds."""
        low, high = index * SEGMENT, (index + 1) * SEGMENT
        return [vars(each) for each in self.outlines if each.begin < high and each.end > low]


NO_OVERLAYS = Overlays()


def detected_outlines(path: Path, key: str, start: float = 0.0) -> list[Outline]:
    """Outlines of the objects of one clip, each around its detection time.

    Args:
        path: file of objects of `avssl detect`.
        key: of the clip.
        start: seconds from the film's beginning to the clip's.

    Raises:
        InputError: the file is broken, or has no such clip.
    """
    _, detected = read_settings(path)
    if key not in detected:
        known = ", ".join(printable(each) for each in list(detected)[:3])
        raise InputError(f"{path}: expected objects of clip {key!r}, got those of {known}; name one by --clip")
    table = ParquetTable(path, SCHEMA, "objects of avssl", MAX_ROWS).read()
    rows = [row for row in table.to_pylist() if row["key"] == key] if len(table) else []
    return [_detected(row, detected[key], start) for row in rows]


def objects_file(folder: Path, model: str) -> Path:
    """The file of objects of a detector: the path of one, or a name as `avssl detect --model` takes it.

    Raises:
        InputError: there is no such file.
    """
    path = Path(model) if Path(model).suffix == ".parquet" else find_objects(folder, model)
    if not path.is_file():
        raise InputError(f"{path}: expected objects, there is no such file; `avssl detect {folder} --model {model}`")
    return path


def crop_outlines(run: Path, manifest: Manifest, row: Row) -> list[Outline]:
    """Crops that a pretraining run draws of a clip in its last step, shown in the window that the step reads.

    Args:
        run: run folder.
        manifest: that the clip is of; crops are a function of seed, step and key of the clip.
        row: the clip.

    Raises:
        InputError: no run folder, a task without crops, or a clip that cannot be read.
    """
    if not (run / CONFIG).is_file():
        raise InputError(f"{run}: expected a run folder of avssl pretrain, this has no {CONFIG}")
    config = fill(RunConfig, read_config(run), where=str(run / CONFIG))
    options: Any = fill(
        plugins.load_options(plugins.TASKS, config.task), config.options, where=f"{run / CONFIG}: options"
    )
    if not isinstance(options, CropOptions):
        raise InputError(f"{run}: expected a task with crops, such as avsa, got {config.task}; leave out --run")
    objects = read_objects(manifest.root, config.data.detector) if options.crop_guide == "objects" else None
    rng = np.random.default_rng((config.train.seed, config.train.steps - 1, crc32(row.key.encode())))
    clip = read_clip(row, manifest.root, config.data, row.sample_rate, rng, objects)
    world, flip = getattr(options, "scene_rotation", "none"), getattr(options, "flip", 0.0)
    begin = row.start + float(clip.labels["start"])
    return _crops(draw_crops(options, rng, world, flip, clip.objects), begin, begin + config.data.seconds)


def _crops(crops: Crops, begin: float, end: float) -> list[Outline]:
    """Outlines of the crops of one clip."""
    half = torch.tan(crops.fields / 2)
    rows = zip(crops.cameras, half.tolist(), (half * crops.aspects).tolist(), strict=True)
    return [
        Outline("crop", f"crop {index + 1}", begin, end, _numbers(camera), (x, y))
        for index, (camera, x, y) in enumerate(rows)
    ]


def _detected(row: dict[str, Any], times: DetectedTimes, start: float) -> Outline:
    angles = {name: math.radians(row[name]) for name in ("azimuth", "elevation", "width", "height")}
    label = f"{printable(row['label'])[:LONGEST_LABEL]} {row['score']:.2f}"
    middle = start + row["time"]
    return Outline(
        "object",
        label,
        middle - times.step / 2,
        middle + times.step / 2,
        _numbers(rotation(angles["azimuth"], angles["elevation"])),
        (math.tan(angles["width"] / 2), math.tan(angles["height"] / 2)),
    )


def _numbers(matrix: torch.Tensor) -> tuple[float, ...]:
    return tuple(round(each, 6) for each in matrix.flatten().tolist())


def sorted_overlays(outlines: list[Outline]) -> Overlays:
    """Overlays of outlines in any order."""
    return Overlays(tuple(sorted(outlines, key=lambda each: each.begin)))
