"""`avssl embed`: embeddings of user media, written to a table."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path

from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.embedding.cache import iterate_cached_embeddings
from avssl.embedding.media_discovery import MediaFiles, Medium, find_media, find_windows
from avssl.embedding.table_writer import Add, embedding_table
from avssl.errors import InputError
from avssl.io.folder_lock import file_lock, made_folder
from avssl.models.embedder import Embedder
from avssl.models.encoders import Encoders
from avssl.printable_text import printable

logger = logging.getLogger(__name__)


def embed_files(
    root: Path,
    out: Path,
    encoders: Encoders,
    towers: Sequence[str],
    reading: Reading,
    *,
    hop: float | None = None,
    precision: str = "auto",
    workers: int = 2,
) -> dict[str, str]:
    """Embed windows of all media below a folder, of a manifest, or of one file.

    Windows of audio and of frames start at the same times, every `hop` seconds from the beginning as long as they fit;
    a file shorter than a window has one. Cached embeddings are read, so a stopped run continues where it was.

    Args:
        root: where the media are.
        out: `.parquet` or `.npz`, see `embedding_table`; there only if anything could be embedded.
        encoders: pretrained.
        towers: audio, video.
        reading: how windows are read.
        hop: seconds from one window to the next; None: the length of a window.
        precision: see `resolve_precision`.
        workers: loader processes.

    Returns:
        Files that could not be read: name -> reason.

    Raises:
        InputError: no media, none with a stream for the towers, an output of another suffix, or another process writes
            it.
    """
    hop = reading.seconds if hop is None else hop
    if not 0 < hop < math.inf:
        raise InputError(f"windows are a hop > 0 seconds apart, not {hop}")
    table = embedding_table(out, reading.seconds)
    with made_folder(out.parent), file_lock(out):
        return _embed(root, table, out, encoders, towers, reading, hop, precision, workers)


def _embed(
    root: Path,
    table: AbstractContextManager[Add],
    out: Path,
    encoders: Encoders,
    towers: Sequence[str],
    reading: Reading,
    hop: float,
    precision: str,
    workers: int,
) -> dict[str, str]:
    there = find_media(root, out)
    found = find_windows(there, towers, reading.seconds, hop, workers)
    if not found.broken and not any(found.sources.values()):
        raise InputError(f"{root}: has nothing for the tower {' or '.join(towers)} among its {len(there)} media")
    _log_rates(found, encoders.sample_rate)
    try:
        with table as add:
            rows = _add_all(add, found, there, encoders, reading, precision, workers)
    except _NothingError:
        logger.error("%s: not written, none of the %d media could be embedded", out, len(there))
    else:
        logger.info("%s: %d windows of %d media", out, rows, len(there) - len(found.broken))
    for name, why in found.broken.items():
        logger.error("%s", f"{printable(name)}: {why}")
    return found.broken


def _add_all(
    add: Add,
    found: MediaFiles,
    there: Sequence[Medium],
    encoders: Encoders,
    reading: Reading,
    precision: str,
    workers: int,
) -> int:
    """Embed the sources of one tower after the other; returns the number of windows."""
    offsets = {medium.name: medium.start for medium in there}
    rows = 0

    def fail(source: Source, error: Exception) -> None:
        found.broken[source.key] = str(error)

    for tower, sources in found.sources.items():
        embedder: Embedder = getattr(encoders, tower)
        run = iterate_cached_embeddings(embedder, sources, reading, precision=precision, workers=workers, on_error=fail)
        with closing(run):  # writes what is computed by then, should this be stopped
            for source, embeddings in run:
                add(source.key, [start - offsets[source.key] for start in source.starts], tower, embeddings)
                rows += len(embeddings)
    if not rows:
        raise _NothingError
    return rows


class _NothingError(Exception):
    """There is nothing to write."""


def _log_rates(found: MediaFiles, sample_rate: int) -> None:
    if others := sorted(found.rates - {sample_rate}):
        logger.info("sound at %s Hz is resampled to the encoders' %d Hz", ", ".join(map(str, others)), sample_rate)
