"""Manifest: one row per clip, in a parquet file beside the media files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avssl.datasets.manifest_files import check_files
from avssl.datasets.manifest_rows import SCHEMA, STORED, Row, Rows
from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable, write_parquet
from avssl.stores.virtual_paths import absolute_path, is_address

__all__ = ["NAME", "Manifest", "Row", "Rows", "read_manifest", "write_manifest"]

NAME = "manifest.parquet"
MAX_ROWS = 10_000_000
"""Clips of a manifest: two GB of memory."""
NAMED = ("key", "video", "audio")
"""Columns whose texts are not empty."""


MAY_LACK = dict.fromkeys(("split", "layout", "silent_channels", "source"), "") | dict.fromkeys(
    ("azimuth", "elevation", "diffuseness"), math.nan
)


@dataclass(frozen=True)
class Manifest:
    """Rows of a manifest, and the folder that their paths are relative to."""

    rows: Sequence[Row]
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def select(self, split: str) -> Manifest:
        """Rows of one split, possibly none."""
        columns = self.columns
        return Manifest(columns.take(columns.where("split", [split])), self.root)

    @property
    def columns(self) -> Rows:
        """The rows as columns, for what looks at all of them."""
        return Rows.of(self.rows)


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
    columns = Rows.of(rows)
    _check_keys(target, columns)
    write_parquet(target, columns.table.cast(SCHEMA))


def read_manifest(path: Path | str, split: str | None = None) -> Manifest:
    """Read a manifest and check that its media files exist.

    Args:
        path: `manifest.parquet` or the folder that holds it, also on a store, such as `s3://bucket/folder`; files there
            are looked for when they are read.
        split: keeps only these rows; None keeps all.

    Raises:
        InputError: no manifest there, not a parquet file, columns are missing or of another kind, no rows (of that
            split) or more than `MAX_ROWS`, a path or link leads out of the manifest's folder, or files are gone.
    """
    file = manifest_path(Path(path))
    rows = _rows(file)
    _check_keys(file, rows)
    if split is not None:
        found = rows.distinct("split")
        rows = rows.take(rows.where("split", [split]))
        if not len(rows):
            raise InputError(f"{file}: no clip of split {split!r}, only of {found}")
    root = absolute_path(file.parent)
    check_files(file, rows, root)
    pa.default_memory_pool().release_unused()  # twice the rows, from reading them
    return Manifest(rows, root)


def manifest_path(path: Path) -> Path:
    """The file of a manifest, where its folder may be given, also an address."""
    is_folder = path.suffix != ".parquet" if is_address(path) else path.is_dir()
    return path / NAME if is_folder else path


def _rows(file: Path) -> Rows:
    """Rows of a file, checked by columns; the first bad one is checked by itself, for its error."""
    table = ParquetTable(file, SCHEMA, "a manifest", MAX_ROWS).read()
    if not len(table):
        raise InputError(f"{file}: a manifest has at least one row, this has none")
    columns = [_combined(file, name, table.column(name)) for name in SCHEMA.names]
    if len(bad := np.flatnonzero(_refused(dict(zip(SCHEMA.names, columns, strict=True))))):
        first = table.slice(int(bad[0]), 1)
        _check_row(file, {name: first.column(name)[0].as_py() for name in SCHEMA.names})
    filled = [_filled(name, column) for name, column in zip(SCHEMA.names, columns, strict=True)]
    return Rows(pa.table(filled, STORED))


def _combined(file: Path, name: str, column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    try:
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    except pa.ArrowException as error:
        raise InputError(f"{file}: expected at most 2 GiB of text in column {name} of a manifest, got more") from error


def _refused(columns: dict[str, pa.Array]) -> np.ndarray:
    """Mask of the rows that lack a value, or whose times make no sense."""
    bad = np.zeros(len(columns["key"]), bool)
    for name, column in columns.items():
        if name not in MAY_LACK and column.null_count:
            bad |= column.is_null().to_numpy(zero_copy_only=False)
        if name in NAMED and len(empty := np.flatnonzero(pc.equal(column.dictionary, "").to_numpy(False))):
            bad |= pc.fill_null(column.indices, -1).to_numpy() == empty[0]
    start, seconds, rate = (_floats(columns[name]) for name in ("start", "seconds", "frame_rate"))
    fine = (start >= 0) & (start < math.inf) & (seconds > 0) & (seconds < math.inf) & (rate > 0) & (rate < math.inf)
    return bad | ~fine


def _floats(column: pa.Array) -> np.ndarray:
    """Numbers, nan where there is none."""
    found: np.ndarray = pc.fill_null(column, math.nan).to_numpy()
    return found


def _filled(name: str, column: pa.Array) -> pa.Array:
    """A column whose lacking values are what `MAY_LACK` says."""
    if not column.null_count:
        return column
    if not pa.types.is_dictionary(column.type):
        return pc.fill_null(column, MAY_LACK[name])
    texts = column.dictionary.to_pylist()
    place = texts.index("") if "" in texts else len(texts)
    every = column.dictionary if place < len(texts) else pa.concat_arrays([column.dictionary, pa.array([""])])
    return pa.DictionaryArray.from_arrays(pc.fill_null(column.indices, place), every)


def _check_row(file: Path, values: dict[str, Any]) -> None:
    values = {name: MAY_LACK.get(name) if value is None else value for name, value in values.items()}
    for name, value in values.items():
        if value is None or (value == "" and name in NAMED):
            raise InputError(f"{file}: row {values['key']!r} has no {name}")
    key, start, seconds, rate = (values[name] for name in ("key", "start", "seconds", "frame_rate"))
    if not (0 <= start < math.inf and 0 < seconds < math.inf):
        raise InputError(f"{file}: row {key!r} wants start >= 0, seconds > 0, has {start}, {seconds}")
    if not 0 < rate < math.inf:
        raise InputError(f"{file}: row {key!r} wants frame_rate > 0, has {rate}")


def _check_keys(file: Path, rows: Rows) -> None:
    """Check the number of rows, and that no two have one key."""
    if not len(rows):
        raise InputError(f"{file}: a manifest has at least one row, this has none")
    if len(rows) > MAX_ROWS:
        raise InputError(f"{file}: expected a manifest of {MAX_ROWS} rows at most, got {len(rows)}")
    codes, _ = rows.texts("key")
    first = np.unique(codes, return_index=True)[1]
    if len(first) < len(rows):
        again = np.ones(len(rows), bool)
        again[first] = False
        raise InputError(f"{file}: every row has a key of its own, two are {rows[int(np.argmax(again))].key!r}")
