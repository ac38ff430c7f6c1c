"""Ground truth of synthetic datasets by clip and time: objects, their kinds and directions, and which of them sound."""

# N objects of a clip

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avssl.errors import InputError

logger = logging.getLogger(__name__)

FILE = "truth.parquet"
COLUMNS = ("key", "time", "kind", "sounding", "azimuth", "elevation", "angular_radius", "visible")


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
        InputError: no parquet file, or columns are missing.
    """

    def __init__(self, path: Path) -> None:
        table = _table(path)
        if missing := _missing(table):
            raise InputError(f"{path}: expected the ground truth of a 360-degree dataset, missing {', '.join(missing)}")
        names, kind = np.unique(table["kind"].to_numpy(zero_copy_only=False), return_inverse=True)
        self.kinds: list[str] = names.tolist()
        """Names of the kinds of objects."""
        azimuth, elevation = (np.radians(table[name].to_numpy().astype(float)) for name in ("azimuth", "elevation"))
        level = np.cos(elevation)
        self._direction = np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], 1)
        self._radius = np.radians(table["angular_radius"].to_numpy().astype(float))
        self._kind, self._sounding = kind, table["sounding"].to_numpy(zero_copy_only=False).astype(bool)
        self._visible, self._time = table["visible"].to_numpy() > 0, table["time"].to_numpy().astype(float)
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
    if missing := _missing(_table(path)):
        logger.info("%s: no ideal observers, ground truth without %s", path, ", ".join(missing))
        return None
    return SceneTruth(path)


def _missing(table: pa.Table) -> list[str]:
    return [name for name in COLUMNS if name not in table.column_names]


def _table(path: Path) -> pa.Table:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: expected the ground truth of a synthetic dataset (parquet): {reason}") from error
    return table
