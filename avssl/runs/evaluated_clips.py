"""Scores, directions and embeddings of the clips of an evaluation, in one parquet file that `avssl report` draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.io.parquet_table import ParquetTable, write_parquet

FILE = "evaluated.parquet"
"""In the folder of a run, or of a head."""
MAX_ROWS = 1_000_000
EMBEDDED = 2000
"""Clips whose embeddings are stored, evenly spaced."""
TOWERS = ("audio", "video")
TEXTS = ("key", "label", "predicted", "root", "video", "audio", "score_name")
NUMBERS = ("start", "seconds", "score", "azimuth", "elevation", "predicted_azimuth", "predicted_elevation")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXTS]
    + [("better", pa.int8())]
    + [(name, pa.float64()) for name in NUMBERS]
    + [(f"{tower}_embedding", pa.list_(pa.float32())) for tower in TOWERS]
)
EXPECTED = "evaluated clips of avssl"


@dataclass(frozen=True)
class EvaluatedClip:
    """One clip of an evaluation; what it lacks is empty or nan."""

    key: str
    """Of the manifest or data set."""
    score: float
    """Of the clip, such as the share of its pairs that are classified correctly."""
    label: str = ""
    """Class, or kinds of the sounding objects."""
    predicted: str = ""
    """Class that was predicted."""
    video: str = ""
    """Video file, relative to `EvaluatedClips.root`; empty: none."""
    audio: str = ""
    """Audio file, relative to the same; may equal `video`."""
    start: float = 0.0
    """Seconds from the beginning of the files."""
    seconds: float = 0.0
    """Length; 0: to the end."""
    azimuth: float = math.nan
    """Degrees: true direction of the sound; beside embeddings of a view, relative to that view."""
    elevation: float = math.nan
    """Degrees."""
    predicted_azimuth: float = math.nan
    """Degrees."""
    predicted_elevation: float = math.nan
    """Degrees."""
    embeddings: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Tower (audio, video) -> embedding."""


@dataclass(frozen=True)
class EvaluatedClips:
    """The clips of one evaluation."""

    clips: tuple[EvaluatedClip, ...]
    root: Path
    """Folder of the media."""
    score_name: str
    """Name of the score, such as `avsa_bin`."""
    better: int = 1
    """1 where larger scores are better, -1 where smaller ones are."""

    def ranked(self) -> list[EvaluatedClip]:
        """Clips with a finite score, the best first; of several windows of a clip, each has its place."""
        known = [each for each in self.clips if math.isfinite(each.score)]
        return sorted(known, key=lambda each: -self.better * each.score)

    def embeddings(self, tower: str) -> tuple[list[EvaluatedClip], NDArray[np.float32]]:
        """Clips with an embedding of a tower, and these, `(N, width)`; those of another width are left out."""
        having = [each for each in self.clips if len(each.embeddings.get(tower, ()))]
        width = len(having[0].embeddings[tower]) if having else 0
        having = [each for each in having if len(each.embeddings[tower]) == width]
        return having, np.array([each.embeddings[tower] for each in having], np.float32).reshape(len(having), width)


def write_evaluated_clips(folder: Path, found: EvaluatedClips) -> None:
    """Write `evaluated.parquet`, whole or not at all; without clips nothing is written.

    Raises:
        OSError: the file cannot be written.
    """
    if found.clips:
        kept = set(range(0, len(found.clips), max(1, math.ceil(len(found.clips) / EMBEDDED))))
        rows = [_columns(found, each, at in kept) for at, each in enumerate(found.clips)]
        write_parquet(folder / FILE, pa.Table.from_pylist(rows, schema=SCHEMA))


def read_evaluated_clips(folder: Path) -> EvaluatedClips | None:
    """The clips of an evaluation; None where the folder holds none.

    Raises:
        InputError: a broken file.
    """
    path = folder / FILE
    if not path.exists():
        return None
    rows = ParquetTable(path, SCHEMA, EXPECTED, MAX_ROWS).read().to_pylist()
    if not rows or rows[0]["better"] not in (1, -1):
        raise InputError(f"{path}: expected {EXPECTED}, got none or a sign that is not 1 or -1; evaluate once more")
    first = rows[0]
    clips = tuple(map(_clip, rows))
    return EvaluatedClips(clips, Path(first["root"] or ""), first["score_name"] or "score", first["better"])


def with_embeddings(clips: Iterable[EvaluatedClip], tower: str, rows: Any) -> list[EvaluatedClip]:
    """Clips with the embeddings of a tower, `(clips, width)`."""
    return [
        replace(each, embeddings={**each.embeddings, tower: row})
        for each, row in zip(clips, rows.tolist(), strict=True)
    ]


def _columns(found: EvaluatedClips, clip: EvaluatedClip, embedded: bool) -> dict[str, Any]:
    own = {name: getattr(clip, name) for name in (*TEXTS, *NUMBERS) if name not in ("root", "score_name")}
    embeddings = {f"{tower}_embedding": clip.embeddings.get(tower) if embedded else None for tower in TOWERS}
    shared = {"root": str(found.root.absolute()), "score_name": found.score_name, "better": found.better}
    named = own | shared | embeddings
    return {name: _text(value) if isinstance(value, str) else value for name, value in named.items()}


def _text(value: str) -> str:
    """Names that are not UTF-8 keep their bytes as a Unicode table can hold them."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _clip(row: dict[str, Any]) -> EvaluatedClip:
    own: dict[str, Any] = {name: row[name] or "" for name in TEXTS if name not in ("root", "score_name")}
    own |= {name: math.nan if row[name] is None else row[name] for name in NUMBERS}
    stored = {tower: row[f"{tower}_embedding"] for tower in TOWERS}
    return EvaluatedClip(**own, embeddings={tower: each for tower, each in stored.items() if each})
