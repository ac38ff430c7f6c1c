"""The truth of a made-up world as objects: what a detector without faults would find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avssl.datasets.manifest import Manifest
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, objects_path, write
from avssl.errors import InputError
from avssl.io.hashing import sha256
from avssl.spatial.boxes import from_frame

TRUTH = "truth"
FILE = "truth.parquet"
EDGES = ("left", "top", "right", "bottom")
COLUMNS = ("key", "frame", "time", "kind", "azimuth", "elevation", "visible", *EDGES)


def objects_of_world(manifest: Manifest, min_score: float) -> Path:
    """Write `objects-truth.parquet` beside a made-up world's manifest.

    Every frame of every clip counts as looked at; an object's score is the share of it that no nearer one hides.

    Args:
        manifest: of a world such as synth360's.
        min_score: objects of which less is visible are left out.

    Returns:
        The parquet file.

    Raises:
        InputError: there is no truth, or not one of panoramas.
        OSError: the file cannot be written.
    """
    source = manifest.root / FILE
    table = read_truth(source)
    about = DetectionSettings(f"{TRUTH} sha256:{sha256(source)}", "", 0.0, min_score, "")
    path = objects_path(manifest.root, TRUTH)
    write(path, _objects(table, about, min_score), about, _looked(table))
    return path


def read_truth(path: Path) -> pa.Table:
    """The truth of a world of panoramas, with the columns `COLUMNS`.

    Raises:
        InputError: there is none, it is broken, or lacks columns, as that of a camera of ordinary field of view does.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the truth of a made-up world, there is no such file")
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: expected the truth of a made-up world (parquet): {_first_line(error)}") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(f"{path}: the truth of a 360-degree world has columns this lacks: {', '.join(missing)}")
    return table.select(COLUMNS)


def _objects(table: pa.Table, about: DetectionSettings, min_score: float) -> pa.Table:
    seen = table.filter(pa.array(table["visible"].to_numpy() >= min_score))
    boxes = np.degrees(from_frame(np.stack([seen[name].to_numpy() for name in EDGES], 1)))
    columns = {
        **{name: seen[name] for name in ("key", "time", "azimuth", "elevation")},
        "width": boxes[:, 2],
        "height": boxes[:, 3],
        "label": seen["kind"],
        "score": seen["visible"],
        "model": [about.model] * len(seen),
    }
    return pa.table([pa.array(columns[name]) for name in SCHEMA.names], names=SCHEMA.names).cast(SCHEMA)


def _looked(table: pa.Table) -> dict[str, DetectedTimes]:
    """The frames of every clip, which are evenly spaced from its beginning."""
    clips = table.group_by("key").aggregate([("frame", "count_distinct"), ("time", "max")]).to_pylist()
    return {clip["key"]: _evenly(clip["frame_count_distinct"], clip["time_max"]) for clip in clips}


def _evenly(frames: int, last: float) -> DetectedTimes:
    return DetectedTimes(frames, last / (frames - 1) if frames > 1 else 1.0, 0.0)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
