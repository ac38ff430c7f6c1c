"""Table writer of embeddings: `.parquet` or `.npz`, written as they are computed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from avssl.errors import InputError
from avssl.io.atomic import naming, replacing

NPY: Any = np.lib.format
GROUP = 4096
"""Rows of a parquet row group, at least."""
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("start", pa.float64()),
        ("seconds", pa.float64()),
        ("tower", pa.string()),
        ("embedding", pa.list_(pa.float32())),
    ]
)

Add = Callable[[str, Sequence[float], str, Tensor], None]
"""Takes in windows of a file: its name, their starts in seconds, the tower, `(windows, width)` float32."""


def embedding_table(path: Path, seconds: float) -> AbstractContextManager[Add]:
    """A file that is there, whole, once the `with` block has ended well.

    - `.parquet`: columns file, start, seconds, tower, embedding; a row a window.
    - `.npz`: `seconds`; `files`, names; and for each tower, such as `audio`, its embeddings `(windows, width)`, with
      `audio_start` and `audio_file`, a place in `files`.

    Args:
        path: of the file.
        seconds: of a window.

    Raises:
        InputError: another suffix.
    """
    kinds = {".parquet": _parquet, ".npz": _npz}
    if path.suffix not in kinds:
        raise InputError(f"{path}: embeddings go to a .parquet or an .npz file, not to {path.suffix or 'this'!r}")
    return kinds[path.suffix](path, seconds)


@contextmanager
def _parquet(path: Path, seconds: float) -> Iterator[Add]:
    waiting: list[pa.Table] = []
    with replacing(path) as part, part.open("wb") as opened, pq.ParquetWriter(opened, SCHEMA) as writer:

        def flush(least: int) -> None:
            if waiting and sum(len(each) for each in waiting) >= least:
                rows = sum(len(each) for each in waiting)
                writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=rows)
                waiting.clear()

        def add(file: str, starts: Sequence[float], tower: str, embeddings: Tensor) -> None:
            count, width = embeddings.shape
            offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
            lists = pa.ListArray.from_arrays(offsets, pa.array(embeddings.numpy().reshape(-1)))
            columns = [[file] * count, starts, [seconds] * count, [tower] * count, lists]
            waiting.append(pa.table(columns, schema=SCHEMA))
            flush(GROUP)

        yield add
        flush(1)


@dataclass
class _Columns:
    """Windows of one tower; their embeddings are buffered in an unnamed temporary file."""

    rows: IO[bytes]
    width: int
    starts: list[np.ndarray] = field(default_factory=list)
    files: list[np.ndarray] = field(default_factory=list)


@contextmanager
def _npz(path: Path, seconds: float) -> Iterator[Add]:
    names: dict[str, int] = {}
    towers: dict[str, _Columns] = {}
    with ExitStack() as stack:

        def add(file: str, starts: Sequence[float], tower: str, embeddings: Tensor) -> None:
            if tower not in towers:
                towers[tower] = _Columns(stack.enter_context(TemporaryFile(dir=path.parent)), embeddings.shape[1])
            columns, place = towers[tower], names.setdefault(file, len(names))
            with naming(path):
                columns.rows.write(embeddings.numpy().tobytes())
            columns.starts.append(np.asarray(starts, np.float64))
            columns.files.append(np.full(len(starts), place, np.int32))

        yield add
        with replacing(path) as part, zipfile.ZipFile(part, "w") as archive:
            _write(archive, "seconds", np.float64(seconds))
            _write(archive, "files", np.array(list(names)))
            for tower, columns in towers.items():
                starts = np.concatenate(columns.starts)
                _write(archive, f"{tower}_start", starts)
                _write(archive, f"{tower}_file", np.concatenate(columns.files))
                _copy(archive, tower, columns.rows, (len(starts), columns.width))


def _write(archive: zipfile.ZipFile, name: str, values: Any) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        NPY.write_array(entry, np.asarray(values), allow_pickle=False)


def _copy(archive: zipfile.ZipFile, name: str, rows: IO[bytes], shape: tuple[int, int]) -> None:
    """Float32 numbers of a file as an array, without having them all in memory."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        NPY.write_array_header_1_0(entry, header)
        rows.seek(0)
        copyfileobj(rows, entry, 1 << 20)
