"""What was found so far, clip by clip, so that a detector can be stopped and started again."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from avssl.datasets.manifest import Manifest, Row
from avssl.detection.frame_source import Panoramas
from avssl.detection.object_index import SCHEMA, DetectedTimes, DetectionSettings, read_settings, write
from avssl.detection.preview import write_overlay
from avssl.detection.tiling import SphereDetections
from avssl.errors import InputError

ENTRY = ("key", "video", "looked", "rows")
FACTS = [name for name in SCHEMA.names if name not in ("key", "model")]


class DetectionJournal:
    """The objects of a manifest's clips as they are found: one line a clip in a journal beside the parquet file.

    Args:
        path: the parquet file.
        manifest: the clips.
        about: how objects are looked for; a file belongs to one such choice.

    Raises:
        InputError: another process writes here, or the file belongs to another choice.
        OSError: nothing can be written here.
    """

    def __init__(self, path: Path, manifest: Manifest, about: DetectionSettings) -> None:
        self.path, self.manifest, self.about = path, manifest, about
        self.entries = path.with_suffix(".jsonl")
        self._kept: dict[str, dict[str, Any]] = {}
        self._new = not path.is_file()

    def __enter__(self) -> DetectionJournal:
        """Keep others away, and read what an earlier run found."""
        if self.path.is_file():
            self._compare(read_settings(self.path)[0])
        self._lock = self._locked()
        try:
            self._read()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let others in; a journal without a clip goes."""
        if not self._kept:
            self.entries.unlink(missing_ok=True)
        self._lock.close()

    def missing(self) -> list[Row]:
        """The clips that are still to be looked at."""
        return [row for row in self.manifest if not self._holds(row)]

    def add(self, row: Row, looked: DetectedTimes, sightings: Sequence[SphereDetections]) -> None:
        """Note what is seen at each looked-at instant of a clip."""
        rows = [
            [time, *np.degrees(box).tolist(), label, score]
            for time, seen in zip(looked.times().tolist(), sightings, strict=True)
            for box, label, score in zip(seen.boxes, seen.labels, seen.scores.tolist(), strict=True)
        ]
        entry = {"key": row.key, "video": self._facts(row), "looked": looked, "rows": rows}
        self._kept[row.key] = entry
        self._lock.write(json.dumps(entry) + "\n")
        self._lock.flush()
        self._new = True

    def write(self, panoramas: Panoramas) -> Path:
        """Write the parquet file of all clips, and a picture of what was found; returns the file.

        Args:
            panoramas: the pictures of every clip.
        """
        entries = [self._kept[row.key] for row in self.manifest]
        looked = {entry["key"]: DetectedTimes(*entry["looked"]) for entry in entries}
        if self._new or read_settings(self.path)[1] != looked:
            table = _table(entries, self.about)
            write_overlay(self.path.with_suffix(".jpg"), table, panoramas)
            write(self.path, table, self.about, looked)
        return self.path

    def _holds(self, row: Row) -> bool:
        entry = self._kept.get(row.key)
        return entry is not None and entry["video"] == self._facts(row)

    def _facts(self, row: Row) -> list[Any]:
        """What tells whether a clip is still the one that was looked at."""
        status = (self.manifest.root / row.video).stat()
        return [row.video, status.st_size, status.st_mtime_ns, row.start, row.seconds]

    def _locked(self) -> IO[str]:
        file = self.entries.open("a+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(f"{self.entries}: another `avssl detect` is writing here") from None
        return file

    def _read(self) -> None:
        """The last whole line of each clip; the first line says how they were looked for."""
        self._lock.seek(0)
        text = self._lock.read()
        lines = [_entry(line) for line in text.splitlines()]
        if not lines or "about" not in lines[0]:
            self._lock.truncate(0)
            self._lock.write(json.dumps({"about": asdict(self.about)}) + "\n")
        else:
            self._compare(DetectionSettings(**lines[0]["about"]))
            self._kept = {entry["key"]: entry for entry in lines if "rows" in entry}
            # A line that a crash cut short must not spoil the next one.
            self._lock.write("" if text.endswith("\n") else "\n")
        self._lock.flush()

    def _compare(self, found: DetectionSettings) -> None:
        for name, value in asdict(self.about).items():
            before = getattr(found, name)
            if before != value:
                raise InputError(
                    f"{self.path}: these objects were looked for with {name} {before!r}, now {value!r}; delete "
                    f"{self.path.stem}.* or give the model another file name"
                )


def _entry(line: str) -> dict[str, Any]:
    """A line of the journal; nothing where a crash cut it short, or it is of another version."""
    try:
        entry = json.loads(line)
        if "about" in entry:
            return {"about": asdict(DetectionSettings(**entry["about"]))}
        return {name: entry[name] for name in ENTRY}
    except (ValueError, TypeError, KeyError):
        return {}


def _table(entries: Sequence[dict[str, Any]], about: DetectionSettings) -> pa.Table:
    facts = zip(*(row for entry in entries for row in entry["rows"]), strict=True)
    columns: dict[str, Any] = dict(zip(FACTS, facts, strict=False)) or {name: [] for name in FACTS}
    columns["key"] = [entry["key"] for entry in entries for _ in entry["rows"]]
    columns["model"] = [about.model] * len(columns["key"])
    return pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names}, schema=SCHEMA)
