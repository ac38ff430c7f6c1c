"""Parquet tables of others, read by batches and up to a bound: a small file can declare any number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.regular_files import open_regular

MAX_TEXT = 4096
"""Bytes of a text in a table: the longest path."""
TOGETHER = 1 << 15
"""Rows of a batch."""
TEXT = pa.dictionary(pa.int32(), pa.string())
"""Type of a text column as it is read: each distinct text of a batch once."""


@dataclass(frozen=True)
class ParquetTable:
    """A parquet file that holds some columns, and may hold others."""

    path: Path
    schema: pa.Schema
    """Names and types of the columns."""
    expected: str
    """Content, such as `a manifest`, for the errors."""
    max_rows: int

    def read(self) -> pa.Table:
        """All rows; text columns are of type `TEXT`, with one dictionary for all rows, as grouping by them needs.

        Raises:
            InputError: see `batches`.
        """
        types = [(each.name, TEXT if pa.types.is_string(each.type) else each.type) for each in self.schema]
        return pa.Table.from_batches(self.batches(), pa.schema(types)).unify_dictionaries()

    def names(self) -> list[str]:
        """Names of all columns of the file.

        Raises:
            InputError: no regular file, no parquet, or broken.
        """
        with self._opened() as file:
            found: list[str] = pq.ParquetFile(file).schema_arrow.names
            return found

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows in order; text columns are of type `TEXT`.

        Raises:
            InputError: no regular file, no parquet, broken, a column is missing, doubled or of another kind, or a bound
                is exceeded.
        """
        with self._opened() as file:
            yield from self._batches(file)

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        """The file, with errors of its content in one line."""
        try:
            # Not by its path, which pyarrow takes only if it is UTF-8.
            with open_regular(self.path, f"{self.expected} (parquet)") as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.path}: expected {self.expected} (parquet): {_first_line(error)}") from error

    def _batches(self, stored: IO[bytes]) -> Iterator[pa.RecordBatch]:
        header = pq.ParquetFile(stored)
        self._check_columns(header.schema_arrow.names)
        self._check_rows(header.metadata.num_rows)
        # As dictionaries: a long text that is stored once may stand in every row.
        nested = {each.name for each in header.schema_arrow if pa.types.is_nested(each.type)}
        texts = [each.name for each in self.schema if pa.types.is_string(each.type) and each.name not in nested]
        file = pq.ParquetFile(stored, metadata=header.metadata, read_dictionary=texts)
        count = 0
        for batch in file.iter_batches(TOGETHER, columns=self.schema.names):
            count += len(batch)
            self._check_rows(count)
            columns = [self._column(batch.column(each.name), each) for each in self.schema]
            yield pa.RecordBatch.from_arrays(columns, self.schema.names)

    def _check_columns(self, names: list[str]) -> None:
        if twice := sorted(name for name in self.schema.names if names.count(name) > 1):
            raise InputError(f"{self.path}: {self.expected} has each column once, this has {twice[0]!r} twice")
        if missing := [name for name in self.schema.names if name not in names]:
            raise InputError(
                f"{self.path}: {self.expected} has {len(self.schema)} columns, this lacks {', '.join(missing)}"
            )

    def _check_rows(self, count: int) -> None:
        if count > self.max_rows:
            raise InputError(f"{self.path}: expected {self.expected} of {self.max_rows} rows at most, got {count}")

    def _column(self, values: pa.Array, field: pa.Field) -> pa.Array:
        """A column of its declared type."""
        if pa.types.is_dictionary(values.type) and _is_text(values.type.value_type):
            longest = pc.max(pc.binary_length(values.dictionary)).as_py() or 0
            if longest > MAX_TEXT:
                raise InputError(
                    f"{self.path}: expected {field.name} of {self.expected} of {MAX_TEXT} bytes at most, got {longest}"
                )
        try:
            values = values.cast(field.type)
            values.validate(full=True)
            return values.dictionary_encode() if pa.types.is_string(field.type) else values
        except pa.ArrowException as error:
            reason = f"column {field.name} of {self.expected} is not of its kind: {_first_line(error)}"
            raise InputError(f"{self.path}: {reason}") from error


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table atomically.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as part, part.open("wb") as file:
        pq.write_table(table, file)


def shared_values(column: pa.Array) -> list[Any]:
    """Values of a column of a batch; equal ones are one object, which keeps a large table small."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    return [None if place is None else values[place] for place in encoded.indices.to_pylist()]


def _is_text(kind: Any) -> bool:
    tests = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
