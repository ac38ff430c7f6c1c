"""Manifest: one row per clip, in a parquet file beside the media files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa

from avssl.errors import InputError
from avssl.io.listed_names import check_inside
from avssl.io.parquet_table import ParquetTable, shared_values, write_parquet
from avssl.regular_files import is_regular

NAME = "manifest.parquet"
MAX_ROWS = 1_000_000
"""Clips of a manifest: a GB of memory."""
FOLDER = "the manifest's folder"


@dataclass(frozen=True)
class Row:
    """One clip: its video and audio files, and their properties."""

    key: str
    """Unique name of the clip in the manifest."""
    split: str
    """train, val, test, or empty."""
    video: str
    """Path of the video, relative to the manifest's folder."""
    audio: str
    """Path of the audio, relative to the manifest's folder; may equal `video`."""
    start: float
    """Seconds from the beginning of the files to the beginning of the clip."""
    seconds: float
    """Length of the clip."""
    frame_rate: float
    """Frames per second."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    sample_rate: int
    """Hz."""
    layout: str
    """Channel layout of the source. stereo and binaural are prepared as left, right; ambix, youtube-327, wxy, fuma, ...
    as ambiX W, Y, Z, X."""
    silent_channels: str
    """Letters of the silent channels, such as Z; L-R where left and right are the same."""
    azimuth: float
    """Azimuth of the active intensity of 150-4000 Hz, in degrees to the left of the front; nan for silence and for
    stereo or binaural audio."""
    elevation: float
    """Elevation of the active intensity, in degrees above the horizon; nan as `azimuth`."""
    diffuseness: float
    """0 for one plane wave, 1 for a diffuse field or silence, nan for stereo or binaural audio."""
    source: str
    """Source recording of the clip."""


KINDS = {"str": pa.string(), "float": pa.float64(), "int": pa.int64()}
SCHEMA = pa.schema([(each.name, KINDS[str(each.type)]) for each in fields(Row)])
MAY_LACK = dict.fromkeys(("split", "layout", "silent_channels", "source"), "") | dict.fromkeys(
    ("azimuth", "elevation", "diffuseness"), math.nan
)


@dataclass(frozen=True)
class Manifest:
    """Rows of a manifest, and the folder that their paths are relative to."""

    rows: tuple[Row, ...]
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def select(self, split: str) -> Manifest:
        """Rows of one split, possibly none."""
        return Manifest(tuple(row for row in self.rows if row.split == split), self.root)


def write_manifest(path: Path, rows: Sequence[Row]) -> None:
    """Write rows to a parquet file, atomically.

    Args:
        path: the file; a folder gets `manifest.parquet`.
        rows: at least one, each with a key of its own.

    Raises:
        InputError: there are no rows or more than `MAX_ROWS`, or two share a key.
        OSError: the file cannot be written.
    """
    target = path / NAME if path.is_dir() else path
    _check_keys(target, rows)
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    write_parquet(target, table)


def read_manifest(path: Path | str, split: str | None = None) -> Manifest:
    """Read a manifest and check that its media files exist.

    Args:
        path: `manifest.parquet` or the folder that holds it.
        split: keeps only these rows; None keeps all.

    Raises:
        InputError: no manifest there, not a parquet file, columns are missing or of another kind, no rows (of that
            split) or more than `MAX_ROWS`, a path or link leads out of the manifest's folder, or files are gone.
    """
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    manifest = Manifest(tuple(_rows(file)), file.parent.absolute())
    _check_keys(file, manifest.rows)
    if split is not None:
        found = sorted({row.split for row in manifest.rows})
        manifest = manifest.select(split)
        if not manifest.rows:
            raise InputError(f"{file}: no clip of split {split!r}, only of {found}")
    _check_files(file, manifest)
    return manifest


def _rows(file: Path) -> Iterator[Row]:
    for batch in ParquetTable(file, SCHEMA, "a manifest", MAX_ROWS).batches():
        for values in zip(*map(shared_values, batch.columns), strict=True):
            yield _row(file, dict(zip(SCHEMA.names, values, strict=True)))


def _row(file: Path, values: dict[str, str | float | int | None]) -> Row:
    values = {name: MAY_LACK.get(name) if value is None else value for name, value in values.items()}
    for name, value in values.items():
        if value is None or (value == "" and name in ("key", "video", "audio")):
            raise InputError(f"{file}: row {values['key']!r} has no {name}")
    row = Row(**values)  # type: ignore[arg-type]
    if not (0 <= row.start < math.inf and 0 < row.seconds < math.inf):
        raise InputError(f"{file}: row {row.key!r} wants start >= 0, seconds > 0, has {row.start}, {row.seconds}")
    if not 0 < row.frame_rate < math.inf:
        raise InputError(f"{file}: row {row.key!r} wants frame_rate > 0, has {row.frame_rate}")
    return row


def _check_keys(file: Path, rows: Sequence[Row]) -> None:
    if not rows:
        raise InputError(f"{file}: a manifest has at least one row, this has none")
    if len(rows) > MAX_ROWS:
        raise InputError(f"{file}: expected a manifest of {MAX_ROWS} rows at most, got {len(rows)}")
    seen: set[str] = set()
    for row in rows:
        if row.key in seen:
            raise InputError(f"{file}: every row has a key of its own, two are {row.key!r}")
        seen.add(row.key)


def _check_files(file: Path, manifest: Manifest) -> None:
    paths = dict.fromkeys(path for row in manifest.rows for path in (row.video, row.audio))
    check_inside(paths, file, FOLDER)
    root = manifest.root.resolve()
    folders: dict[Path, bool] = {}  # each is looked at once: a manifest has many files in one folder
    gone = []
    for path in paths:
        if not is_regular(root / path):
            gone.append(path)
        elif not _is_below(root, path, folders):
            raise InputError(f"{file}: paths stay inside {FOLDER}, {path!r} does not: a link leads out")
    if gone:
        raise InputError(f"{file}: {len(gone)} of its {len(paths)} files are missing, the first is {gone[0]!r}")


def _is_below(root: Path, path: str, folders: dict[Path, bool]) -> bool:
    """Whether a file lies below a folder once its links are followed."""
    whole = root / path
    if whole.is_symlink():
        return whole.resolve().is_relative_to(root)
    if whole.parent not in folders:
        folders[whole.parent] = whole.parent.resolve().is_relative_to(root)
    return folders[whole.parent]
