"""Rows of a manifest as columns: a `Row` object is made when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
import pyarrow as pa

from avssl.io.parquet_table import TEXT

BLOCK = 4096
"""Rows that are decoded together while one iterates."""


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
STORED = pa.schema([(each.name, TEXT if each.type == pa.string() else each.type) for each in SCHEMA])
"""Types of the columns in memory: each distinct text once."""


class Rows(Sequence[Row]):
    """Rows as columns: 0.12 GB a million, also in loader processes, which share the memory.

    Args:
        table: columns of `STORED`, without nulls; of each text column one dictionary for all rows.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        columns = [_single(each) for each in self.table.columns]
        self._columns = [
            (each.indices.to_numpy(), each.dictionary) if pa.types.is_dictionary(each.type) else (None, each.to_numpy())
            for each in columns
        ]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Rows:
        """Rows of `Row` objects."""
        if isinstance(rows, Rows):
            return rows
        listed = list(rows)
        columns = [pa.array([getattr(row, each.name) for row in listed], each.type) for each in SCHEMA]
        return cls(pa.table(columns, SCHEMA).cast(STORED).unify_dictionaries())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Rows: ...

    def __getitem__(self, place: int | slice) -> Row | Rows:
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        place = range(len(self))[place]
        return _row([_value(codes, values, place) for codes, values in self._columns])

    def __iter__(self) -> Iterator[Row]:
        for begin in range(0, len(self), BLOCK):
            part = slice(begin, begin + BLOCK)
            columns = [
                _numbers(values[part]) if codes is None else values.take(pa.array(codes[part])).to_pylist()
                for codes, values in self._columns
            ]
            yield from map(_row, zip(*columns, strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rows | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type[Rows], tuple[pa.Table]]:
        return Rows, (self.table,)

    def take(self, places: np.ndarray) -> Rows:
        """Rows at some places, in that order; or those where a mask is true."""
        return Rows(self.table.filter(pa.array(places)) if places.dtype == bool else self.table.take(pa.array(places)))

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers."""
        _, values = self._columns[SCHEMA.get_field_index(name)]
        return np.asarray(values)

    def texts(self, name: str) -> tuple[np.ndarray, pa.StringArray]:
        """Place of each row's text among the texts of its column, int32; and these texts, some perhaps unused."""
        codes, values = self._columns[SCHEMA.get_field_index(name)]
        assert codes is not None
        return codes, values

    def distinct(self, name: str) -> list[str]:
        """The texts of a column, sorted."""
        codes, values = self.texts(name)
        return sorted(values.take(pa.array(np.unique(codes))).to_pylist())

    def listed(self, name: str) -> list[str]:
        """The text of every row in a column."""
        codes, values = self.texts(name)
        found: list[str] = values.take(pa.array(codes)).to_pylist()
        return found

    def where(self, name: str, texts: Iterable[str]) -> np.ndarray:
        """Mask of the rows that have one of some texts in a column."""
        codes, values = self.texts(name)
        wanted = set(texts)
        found: np.ndarray = np.array([each in wanted for each in values.to_pylist()], bool)[codes]
        return found


def _single(column: pa.ChunkedArray) -> Any:
    """The one chunk of a column."""
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _value(codes: np.ndarray | None, values: Any, place: int) -> Any:
    if codes is not None:
        return values[int(codes[place])].as_py()
    return _number(values[place].item())


def _number(value: float) -> float:
    """A number; every nan is the same object, so that rows that hold it may be equal."""
    return value if value == value else math.nan


def _numbers(values: np.ndarray) -> list[float]:
    return list(map(_number, values.tolist()))


NAMES = SCHEMA.names


def _row(values: Iterable[Any]) -> Row:
    """A row without the checks of a frozen dataclass, which take three times as long."""
    row = object.__new__(Row)
    row.__dict__.update(zip(NAMES, values, strict=True))
    return row
