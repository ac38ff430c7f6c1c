"""Journal of detections, one line per clip, so that an interrupted run can be continued."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from avssl.datasets.manifest import Manifest, Row
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import (
    SCHEMA,
    DetectedTimes,
    DetectionSettings,
    parse_times,
    read_settings,
    write_objects,
)
from avssl.detection.preview import write_overlay
from avssl.detection.tiling import SphereDetections
from avssl.errors import InputError
from avssl.io.jsonl_journal import Entry, JsonlJournal
from avssl.io.settings import require_same

FIELDS = ("key", "video", "looked", "rows")
FACTS = [name for name in SCHEMA.names if name not in ("key", "model")]


class DetectionJournal(JsonlJournal):
    """Objects of a manifest's clips: one line per clip in a journal beside the parquet file.

    Args:
        path: the parquet file.
        manifest: the clips.
        detection_settings: detection settings; all clips of a file share them.

    Raises:
        InputError: on entering, the file has other settings.
        OSError: the journal cannot be written.
    """

    def __init__(self, path: Path, manifest: Manifest, detection_settings: DetectionSettings) -> None:
        advice = f"delete {path.stem}.* or go on with the same settings"
        super().__init__(path.with_suffix(".jsonl"), asdict(detection_settings), _parsed, advice=advice)
        self.parquet, self.manifest, self.detection_settings = path, manifest, detection_settings
        self._new = not path.is_file()

    def __enter__(self) -> Self:
        if self.parquet.is_file():
            require_same(self.parquet, asdict(read_settings(self.parquet)[0]), self.settings, self.advice)
        super().__enter__()
        return self

    def missing(self) -> list[Row]:
        """Clips without detections so far."""
        return [row for row in self.manifest if not self._holds(row)]

    def note(self, row: Row, detected_times: DetectedTimes, detections: Sequence[SphereDetections]) -> None:
        """Append the objects at each detection time of a clip."""
        rows = [
            [time, *np.degrees(box).tolist(), label, score]
            for time, found in zip(detected_times.times().tolist(), detections, strict=True)
            for box, label, score in zip(found.boxes, found.labels, found.scores.tolist(), strict=True)
        ]
        self.add({"key": row.key, "video": self._facts(row), "looked": detected_times, "rows": rows})
        self._new = True

    def write(self, panoramas: Panoramas) -> Path:
        """Write the parquet file of all clips with detections, and a preview of them; returns the file.

        Args:
            panoramas: the equirectangular frames of every clip.

        Raises:
            InputError: no clip has detections.
        """
        entries = [self.entries[row.key] for row in self.manifest if self._holds(row)]
        if len(self.manifest) and not entries:
            raise InputError(f"{self.parquet}: not written, none of the {len(self.manifest)} clips can be read")
        detected_times = {entry["key"]: DetectedTimes(*entry["looked"]) for entry in entries}
        if self._new or read_settings(self.parquet)[1] != detected_times:
            table = _table(entries, self.detection_settings)
            write_overlay(self.parquet.with_suffix(".jpg"), table, panoramas)
            write_objects(self.parquet, table, self.detection_settings, detected_times)
        return self.parquet

    def _holds(self, row: Row) -> bool:
        entry = self.entries.get(row.key)
        try:
            return entry is not None and entry["video"] == self._facts(row)
        except OSError:  # gone: reading it fails, for this clip alone
            return False

    def _facts(self, row: Row) -> list[Any]:
        """Identity of the clip's video: path, bytes, time of change, start, seconds."""
        status = (self.manifest.root / row.video).stat()
        return [row.video, status.st_size, status.st_mtime_ns, row.start, row.seconds]


def _parsed(entry: Entry) -> Entry:
    parse_times(entry["looked"])
    for *numbers, label, score in entry["rows"]:
        if (
            len(numbers) + 2 != len(FACTS)
            or not isinstance(label, str)
            or not all(map(math.isfinite, (*numbers, score)))
        ):
            raise ValueError(entry["key"])
    return {name: entry[name] for name in FIELDS}


def _table(entries: Sequence[Entry], detection_settings: DetectionSettings) -> pa.Table:
    facts = zip(*(row for entry in entries for row in entry["rows"]), strict=True)
    columns: dict[str, Any] = dict(zip(FACTS, facts, strict=False)) or {name: [] for name in FACTS}
    columns["key"] = [entry["key"] for entry in entries for _ in entry["rows"]]
    columns["model"] = [detection_settings.model] * len(columns["key"])
    return pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)
