"""Scores of the test clips of a fold, as a table in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from avssl.io.parquet_table import ParquetTable, shared_values, write_parquet

NAME = "scores.parquet"
MAX_ROWS = 10_000_000
SCHEMA = pa.schema([("metric", pa.string()), ("clip", pa.string()), ("video", pa.string()), ("value", pa.float64())])

Scores = dict[str, list[tuple[str, float]]]
"""Metric -> key of a clip and a score, for each of its windows or pairs."""


@dataclass
class Outcomes:
    """Scores of one metric, of all test clips of several folds."""

    clips: list[str]
    videos: list[str]
    values: list[float]


def write_scores(folder: Path, scores: Scores, videos: Mapping[str, str]) -> None:
    """Write `scores.parquet`.

    Args:
        folder: of the fold.
        scores: by metric.
        videos: key of a clip -> name of its video.

    Raises:
        OSError: the file cannot be written.
    """
    rows = [
        {"metric": metric, "clip": clip, "video": videos[clip], "value": value}
        for metric, found in scores.items()
        for clip, value in found
    ]
    write_parquet(folder / NAME, pa.Table.from_pylist(rows, schema=SCHEMA))


def read_scores(folders: list[Path]) -> dict[str, Outcomes]:
    """Scores of several folds by metric.

    Raises:
        InputError: a file is missing or broken.
    """
    found: dict[str, Outcomes] = {}
    for folder in folders:
        for batch in ParquetTable(folder / NAME, SCHEMA, "scores of a fold", MAX_ROWS).batches():
            for metric, clip, video, value in zip(*map(shared_values, batch.columns), strict=True):
                outcomes = found.setdefault(metric, Outcomes([], [], []))
                outcomes.clips.append(clip)
                outcomes.videos.append(video)
                outcomes.values.append(value)
    return found
