"""Index of detected objects: one parquet file per detector, beside `manifest.parquet`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable, write_parquet
from avssl.regular_files import open_regular

FORMAT = "avssl-objects"
DIGITS = 8
"""Number of digits of the weights' hash in file names."""
HASHED = re.compile(rf"-[0-9a-f]{{{DIGITS}}}")
VERSION = 2
MAX_ROWS = 10_000_000
"""Objects of a file: a GB of memory."""
MAX_TIMES = 10_000_000
"""Detection times of a clip: two months at 2 Hz."""
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("time", pa.float32()),
        ("azimuth", pa.float32()),
        ("elevation", pa.float32()),
        ("width", pa.float32()),
        ("height", pa.float32()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("model", pa.string()),
    ]
)
"""One row per object and frame: `time` in seconds from the clip's beginning; in degrees its centre (`azimuth`
in -180..180, `elevation`) and the field of view (`width`, `height`) of an upright camera that looks at the centre and
just holds the object; `score` in 0..1; `model`: name and sha256 of the weights."""


class DetectedTimes(NamedTuple):
    """Detection times of a clip: (i + phase) * step for i below frames."""

    frames: int
    step: float
    """Seconds."""
    phase: float
    """0: from the clip's beginning; 1/2: in the middle of each step."""

    def times(self) -> NDArray[np.float64]:
        """Times in seconds from the clip's beginning, ascending."""
        return (np.arange(self.frames, dtype=np.float64) + self.phase) * self.step


def parse_times(values: Sequence[float]) -> DetectedTimes:
    """Detection times as a file states them.

    Raises:
        TypeError: not three numbers.
        ValueError: not three numbers, or numbers that are out of range.
    """
    frames, step, phase = values
    if not (0 < frames <= MAX_TIMES and frames == int(frames) and 0 < step < math.inf and 0 <= phase < math.inf):
        raise ValueError(f"expected 1 to {MAX_TIMES} detection times of a clip, got {values}")
    return DetectedTimes(int(frames), step, phase)


@dataclass(frozen=True)
class DetectionSettings:
    """Settings that detections depend on, stored in the file of objects."""

    model: str
    """Name and sha256 of the weights."""
    views: str
    """viewports or equirect; empty for ground truth."""
    rate: float
    """Frames per second."""
    min_score: float
    """Lowest score of detections."""
    frames: str
    """Video that the frames are of: original (the recordings that `avssl prepare` read) or proxy (the manifest's);
    empty for ground truth."""


class Objects:
    """The objects of every clip, in memory.

    Args:
        table: rows of `SCHEMA`, in any order.
        detected_times: clip -> detection times.
    """

    def __init__(self, table: pa.Table, detected_times: Mapping[str, DetectedTimes]) -> None:
        self.detected_times = dict(detected_times)
        size = _solid_angle(table)
        order = np.lexsort((-size, -_column(table, "score"), _column(table, "time")))
        keys = table["key"].to_numpy(zero_copy_only=False)[order]
        self._times = _column(table, "time")[order]
        self._scores = _column(table, "score")[order]
        angles = [_column(table, name)[order] for name in ("azimuth", "elevation")]
        self._directions = np.radians(np.stack(angles, 1)).astype(np.float32)
        by_clip = np.argsort(keys, kind="stable")
        names, starts = np.unique(keys[by_clip], return_index=True)
        self._rows = dict(zip(names.tolist(), np.split(by_clip, starts[1:]), strict=False))

    def __len__(self) -> int:
        """Number of objects, over all clips and times."""
        return len(self._times)

    def count_clips(self, keys: Iterable[str]) -> int:
        """Number of these clips with objects at some time."""
        return sum(key in self._rows for key in keys)

    def at(self, key: str, time: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Objects at the detection time that is nearest to a time.

        Args:
            key: of the clip.
            time: seconds from the clip's beginning.

        Returns:
            Azimuth and elevation `(N, 2)` in radians and scores `(N,)`, best first; of equal ones the largest.

        Raises:
            InputError: the clip has no detection times.
        """
        if key not in self.detected_times:
            raise InputError(f"clip {key!r}: no objects were detected in it; run `avssl detect` again")
        times = self.detected_times[key].times()
        nearest = times[np.abs(times - time).argmin()]
        rows = self._rows.get(key, np.empty(0, np.int64))
        rows = rows[np.abs(self._times[rows] - nearest) < self.detected_times[key].step / 2]
        return self._directions[rows], self._scores[rows]


def slug(model: str) -> str:
    """Name of a model in file names: `runs/Best One.pt` gives `best-one`."""
    if model.startswith("torchvision/"):
        name = model.partition(":")[0].replace("/", "-")
    else:
        path = Path(model)
        name = path.stem if path.suffix in (".pt", ".onnx", ".xml") else path.name
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def objects_path(folder: Path, model: str, sha256: str = "") -> Path:
    """The file of a model's objects in a manifest's folder; models of one name differ by their weights' hash.

    Args:
        folder: of the manifest.
        model: argument of `avssl detect`.
        sha256: of the weights; empty for ground truth.
    """
    digest = f"-{sha256[:DIGITS]}" if sha256 else ""
    return folder / f"objects-{slug(model)}{digest}.parquet"


def find_objects(folder: Path, model: str) -> Path:
    """The file of the objects that a model found, by the hash of its weights where they are here.

    Weights need not be here: the file of that name counts then, if it is the only one.

    Args:
        folder: of the manifest.
        model: argument of `avssl detect`, or a file's name between `objects-` and `.parquet`.

    Returns:
        The file; where there is none, that which `detect` would write, as far as that is known.

    Raises:
        InputError: several detectors of that name left files, and none of their weights are here; or one is broken.
    """
    digest, there = _sha256_of(model), _files(folder, model)
    if digest:
        fitting = [path for path in there if read_settings(path)[0].model.endswith(f"sha256:{digest}")]
        return next(iter(fitting), objects_path(folder, model, digest))
    if len(there) > 1:
        named = ", ".join(path.stem.removeprefix("objects-") for path in there)
        raise InputError(
            f"{folder}: expected objects of one detector {model!r}, got those of {len(there)} with other weights; "
            f"give the path of the weights, or one of {named}"
        )
    return next(iter(there), objects_path(folder, model))


def _files(folder: Path, model: str) -> list[Path]:
    """Files of objects of a model's name, whatever its weights."""
    exact = objects_path(folder, model)
    hashed = (path for path in folder.glob(f"{exact.stem}-*.parquet") if HASHED.fullmatch(path.stem, len(exact.stem)))
    return [exact] if exact.is_file() else sorted(hashed)


def _sha256_of(model: str) -> str:
    """Hash of a detector's weights; empty where the file is missing."""
    from avssl.detection.backends.load import detector_sha256  # torchvision takes a second

    try:
        return detector_sha256(model)
    except (OSError, ValueError):
        return ""


def read_objects(folder: Path, model: str) -> Objects:
    """The objects that a model found in the clips of a manifest.

    Args:
        folder: of the manifest.
        model: see `find_objects`.

    Raises:
        InputError: there is no such file, it is broken, or of another kind; see `find_objects`.
    """
    path = find_objects(folder, model)
    if not path.is_file():
        raise InputError(f"{path}: expected objects, there is no such file; `avssl detect {folder} --model {model}`")
    _, detected_times = read_settings(path)
    with _refused(path):
        return Objects(ParquetTable(path, SCHEMA, "objects of avssl", MAX_ROWS).read(), detected_times)


def read_settings(path: Path) -> tuple[DetectionSettings, dict[str, DetectedTimes]]:
    """Settings of a file of objects, and detection times of its clips.

    Raises:
        InputError: it is broken, or of another kind.
    """
    with _refused(path):
        with open_regular(path, "objects of avssl (parquet)") as file:
            note = _note(path, pq.ParquetFile(file).schema_arrow)
        return DetectionSettings(**note["about"]), _detected_times(note)


def write_objects(
    path: Path, table: pa.Table, detection_settings: DetectionSettings, detected_times: Mapping[str, DetectedTimes]
) -> None:
    """Write objects, atomically.

    Args:
        path: see `objects_path`.
        table: rows of `SCHEMA`.
        detection_settings: detection settings.
        detected_times: detection times of every clip, also those without objects.

    Raises:
        OSError: the file cannot be written.
    """
    note = {"format": FORMAT, "version": VERSION, "about": asdict(detection_settings), "looked": detected_times}
    ordered = table.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata({"avssl": json.dumps(note)})
    write_parquet(path, ordered)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Reject a broken or foreign file of objects in one line."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{path}: expected objects of avssl (parquet): {reason}; delete it and detect again"
        ) from error


def _note(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """Metadata of the schema."""
    note = json.loads((schema.metadata or {}).get(b"avssl", b"{}"))
    if note.get("format") != FORMAT or note.get("version") != VERSION:
        raise InputError(
            f"{path}: expected objects of avssl (parquet) of format {FORMAT!r}, version {VERSION}; delete it and "
            "detect again"
        )
    return dict(note)


def _detected_times(note: dict[str, Any]) -> dict[str, DetectedTimes]:
    return {key: parse_times(values) for key, values in note["looked"].items()}


def _column(table: pa.Table, name: str) -> NDArray[np.float32]:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float32)


def _solid_angle(table: pa.Table) -> NDArray[np.float32]:
    """Solid angle of each object, up to a factor."""
    return np.asarray(_column(table, "width") * np.sin(np.radians(_column(table, "height") / 2)), np.float32)
