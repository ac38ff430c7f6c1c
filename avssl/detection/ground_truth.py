"""Ground-truth objects of a synthetic dataset, in the format of detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from avssl.datasets.manifest import Manifest
from avssl.detection.object_index import MAX_ROWS, SCHEMA, DetectedTimes, DetectionSettings, objects_path, write_objects
from avssl.io.hashing import sha256
from avssl.io.parquet_table import ParquetTable
from avssl.spatial.boxes import from_frame

TRUTH = "truth"
FILE = "truth.parquet"
EDGES = ("left", "top", "right", "bottom")
COLUMNS = ("key", "frame", "time", "kind", "azimuth", "elevation", "visible", *EDGES)
KINDS = {"key": pa.string(), "kind": pa.string(), "frame": pa.int32()}
TRUTH_SCHEMA = pa.schema([(name, KINDS.get(name, pa.float32())) for name in COLUMNS])


def write_ground_truth_objects(manifest: Manifest, min_score: float) -> Path:
    """Write `objects-truth.parquet` beside the manifest of a synthetic dataset.

    Detection times are all frames; an object's score is its visible share (not occluded by a nearer object).

    Args:
        manifest: of a synthetic dataset such as synth360.
        min_score: lowest visible share.

    Returns:
        The parquet file.

    Raises:
        InputError: no ground truth, or not of equirectangular video.
        OSError: the file cannot be written.
    """
    source = manifest.root / FILE
    table = read_truth(source)
    detection_settings = DetectionSettings(f"{TRUTH} sha256:{sha256(source)}", "", 0.0, min_score, "")
    path = objects_path(manifest.root, TRUTH)
    write_objects(path, _objects(table, detection_settings, min_score), detection_settings, _detected_times(table))
    return path


def read_truth(path: Path) -> pa.Table:
    """Ground truth of an equirectangular synthetic dataset, with the columns `COLUMNS`.

    Raises:
        InputError: no file, a broken one, or columns are missing, as for an ordinary field of view.
    """
    return ParquetTable(
        path, TRUTH_SCHEMA, "the ground truth of a synthetic dataset of 360-degree video", MAX_ROWS
    ).read()


def _objects(table: pa.Table, detection_settings: DetectionSettings, min_score: float) -> pa.Table:
    visible = table.filter(pa.array(table["visible"].to_numpy() >= min_score))
    boxes = np.degrees(from_frame(np.stack([visible[name].to_numpy() for name in EDGES], 1)))
    columns = {
        **{name: visible[name] for name in ("key", "time", "azimuth", "elevation")},
        "width": boxes[:, 2],
        "height": boxes[:, 3],
        "label": visible["kind"],
        "score": visible["visible"],
        "model": [detection_settings.model] * len(visible),
    }
    return pa.table([pa.array(columns[name]) for name in SCHEMA.names], names=SCHEMA.names).cast(SCHEMA)


def _detected_times(table: pa.Table) -> dict[str, DetectedTimes]:
    """The frames of every clip, which are evenly spaced from its beginning."""
    clips = table.group_by("key").aggregate([("frame", "count_distinct"), ("time", "max")]).to_pylist()
    return {clip["key"]: _evenly(clip["frame_count_distinct"], clip["time_max"]) for clip in clips}


def _evenly(frames: int, last: float) -> DetectedTimes:
    return DetectedTimes(frames, last / (frames - 1) if frames > 1 else 1.0, 0.0)
