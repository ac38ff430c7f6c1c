"""Journal of detections, clip by clip, so that a detector can be stopped and started again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from avssl.datasets.manifest import Manifest, Row
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, read_settings, write
from avssl.detection.preview import write_overlay
from avssl.detection.tiling import SphereDetections
from avssl.io.jsonl_journal import Entry, JsonlJournal
from avssl.io.settings import require_same

FIELDS = ("key", "video", "looked", "rows")
FACTS = [name for name in SCHEMA.names if name not in ("key", "model")]


class DetectionJournal(JsonlJournal):
    """The objects of a manifest's clips as they are found: one line a clip in a journal beside the parquet file.

    Args:
        path: the parquet file.
        manifest: the clips.
        about: how objects are looked for; a file belongs to one such choice.

    Raises:
        InputError: on entering, another process writes here, or the file belongs to another choice.
        OSError: nothing can be written here.
    """

    def __init__(self, path: Path, manifest: Manifest, about: DetectionSettings) -> None:
        advice = f"delete {path.stem}.* or go on with the same settings"
        super().__init__(path.with_suffix(".jsonl"), asdict(about), _parsed, writer="avssl detect", advice=advice)
        self.parquet, self.manifest, self.about = path, manifest, about
        self._new = not path.is_file()

    def __enter__(self) -> Self:
        if self.parquet.is_file():
            require_same(self.parquet, asdict(read_settings(self.parquet)[0]), self.settings, self.advice)
        super().__enter__()
        return self

    def missing(self) -> list[Row]:
        """The clips that are still to be looked at."""
        return [row for row in self.manifest if not self._holds(row)]

    def note(self, row: Row, looked: DetectedTimes, sightings: Sequence[SphereDetections]) -> None:
        """Note the objects at each looked-at instant of a clip."""
        rows = [
            [time, *np.degrees(box).tolist(), label, score]
            for time, seen in zip(looked.times().tolist(), sightings, strict=True)
            for box, label, score in zip(seen.boxes, seen.labels, seen.scores.tolist(), strict=True)
        ]
        self.add({"key": row.key, "video": self._facts(row), "looked": looked, "rows": rows})
        self._new = True

    def write(self, panoramas: Panoramas) -> Path:
        """Write the parquet file of all clips, and a picture of the objects; returns the file.

        Args:
            panoramas: the pictures of every clip.
        """
        entries = [self.entries[row.key] for row in self.manifest]
        looked = {entry["key"]: DetectedTimes(*entry["looked"]) for entry in entries}
        if self._new or read_settings(self.parquet)[1] != looked:
            table = _table(entries, self.about)
            write_overlay(self.parquet.with_suffix(".jpg"), table, panoramas)
            write(self.parquet, table, self.about, looked)
        return self.parquet

    def _holds(self, row: Row) -> bool:
        entry = self.entries.get(row.key)
        return entry is not None and entry["video"] == self._facts(row)

    def _facts(self, row: Row) -> list[Any]:
        """Identity of the clip that was looked at."""
        status = (self.manifest.root / row.video).stat()
        return [row.video, status.st_size, status.st_mtime_ns, row.start, row.seconds]


def _parsed(entry: Entry) -> Entry:
    return {name: entry[name] for name in FIELDS}


def _table(entries: Sequence[Entry], about: DetectionSettings) -> pa.Table:
    facts = zip(*(row for entry in entries for row in entry["rows"]), strict=True)
    columns: dict[str, Any] = dict(zip(FACTS, facts, strict=False)) or {name: [] for name in FACTS}
    columns["key"] = [entry["key"] for entry in entries for _ in entry["rows"]]
    columns["model"] = [about.model] * len(columns["key"])
    return pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)
