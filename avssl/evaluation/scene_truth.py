"""Ground truth of synthetic datasets by clip and time: objects, their kinds and directions, and which of them sound."""

# N objects of a clip

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.detection.object_index import MAX_ROWS
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable

logger = logging.getLogger(__name__)

FILE = "truth.parquet"
NUMBERS = ("time", "azimuth", "elevation", "angular_radius", "visible")
SCHEMA = pa.schema(
    [("key", pa.string()), ("kind", pa.string()), ("sounding", pa.bool_()), *((name, pa.float64()) for name in NUMBERS)]
)
EXPECTED = "the ground truth of a synthetic dataset of 360-degree video"


@dataclass(frozen=True)
class SceneObjects:
    """Objects of a clip at one time."""

    kind: NDArray[np.int64]
    """`(N,)` index into `SceneTruth.kinds`."""
    sounding: NDArray[np.bool_]
    """`(N,)` whether the object emits sound."""
    visible: NDArray[np.bool_]
    """`(N,)` whether any of it is seen."""
    direction: NDArray[np.float64]
    """`(N, 3)` unit vectors along x, y, z."""
    radius: NDArray[np.float64]
    """`(N,)` angular radius, radians."""


class SceneTruth:
    """Ground truth of the clips of a synthetic dataset of 360-degree video.

    Args:
        path: `truth.parquet` of the dataset.

    Raises:
        InputError: no parquet file, or columns are missing or of another kind.
    """

    def __init__(self, path: Path) -> None:
        table = ParquetTable(path, SCHEMA, EXPECTED, MAX_ROWS).read()
        time, azimuth, elevation, radius, visible = (table[name].to_numpy() for name in NUMBERS)
        names, kind = np.unique(table["kind"].to_pylist(), return_inverse=True)
        self.kinds: list[str] = names.tolist()
        """Names of the kinds of objects."""
        azimuth, elevation = np.radians(azimuth), np.radians(elevation)
        level = np.cos(elevation)
        self._direction = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], 1)
        self._kind, self._sounding = kind, table["sounding"].to_numpy().astype(bool)
        self._radius, self._visible, self._time = np.radians(radius), visible > 0, time
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, key in enumerate(table["key"].to_pylist()):
            rows[key].append(row)
        self._rows = {key: np.array(each) for key, each in rows.items()}

    def at(self, key: str, time: float) -> SceneObjects:
        """Objects of a clip in the frame nearest to a time.

        Args:
            key: of the clip.
            time: seconds from the beginning of the clip.

        Raises:
            InputError: no such clip.
        """
        if key not in self._rows:
            raise InputError(f"expected the ground truth of clip {key!r}, got none; render the dataset again")
        rows = self._rows[key]
        distance = np.abs(self._time[rows] - time)
        rows = rows[distance == distance.min()]
        columns = self._kind, self._sounding, self._visible, self._direction, self._radius
        return SceneObjects(*(column[rows] for column in columns))


def read_scene_truth(folder: Path) -> SceneTruth | None:
    """Ground truth beside a manifest.

    None where there is none, as of recordings, or another kind, as of a third party's synthetic dataset; then it is
    logged what is missing.

    Raises:
        InputError: a broken file of ground truth.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    present = ParquetTable(path, SCHEMA, EXPECTED, MAX_ROWS).names()
    if missing := [name for name in SCHEMA.names if name not in present]:
        logger.info("%s: no ideal observers, ground truth without %s", path, ", ".join(missing))
        return None
    return SceneTruth(path)
