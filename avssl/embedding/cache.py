"""On-disk cache of embeddings, usable after the media files are gone."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from avssl.data.clip_options import Reading
from avssl.data.window_reader import Source
from avssl.embedding.batch_inference import OnError, embed, tower_of
from avssl.embedding.cache_keys import CacheKeys, embedder_key
from avssl.embedding.remote_embedding import embed_remotely
from avssl.embedding.tensor_shards import TensorShards
from avssl.io.arithmetic import resolve_precision
from avssl.io.cache_folder import cache_folder
from avssl.io.process_pool import has_other_pool
from avssl.models.embedder import Embedder

logger = logging.getLogger(__name__)

BLOCK = 8192
"""Windows of sources that are read from the cache together, at most, unless one source has more."""
EMBEDDINGS = "embeddings"
"""Folder in the cache folder."""


def cached_embeddings(
    embedder: Embedder,
    sources: Sequence[Source],
    reading: Reading,
    *,
    folder: Path | None = None,
    precision: str = "auto",
    workers: int = 2,
    progress: bool = True,
    title: str = "",
) -> list[Tensor]:
    """Embeddings of windows of files, read from the cache where they are there, else computed and stored.

    Keys are made of weights, features, window geometry, precision, and each file's path, size and time of change. A
    file that is gone counts as it was last; a warning says how many are. A run that was stopped continues where it was.

    Args:
        embedder: see `embed`.
        sources: files and their windows.
        reading: how windows are read.
        folder: of the cache; None: `embeddings` in the cache folder.
        precision: see `resolve_precision`.
        workers: loader processes.
        progress: show a bar, on a terminal.
        title: of the bar.

    Returns:
        For each source float32 `(len(starts), width)`.

    Raises:
        InputError: see `embed`.
        FileNotFoundError: a file is gone, and its embeddings are not cached.
    """
    precision = resolve_precision(precision)
    shards = _shards(embedder, reading, precision, folder)
    keys = _keys(shards, sources)
    by_key = dict(zip(keys, sources, strict=True))
    found = shards.read(key for key in by_key if key in shards.stored)
    found = {key: each for key, each in found.items() if _is_usable(each, by_key[key], shards)}
    wanted = {key: source for key, source in by_key.items() if key not in found}
    logger.debug("%s: embeddings of %d of %d files are cached", shards.folder, len(keys) - len(wanted), len(keys))
    if wanted:
        missing = list(wanted.values())
        run = embed(embedder, missing, reading, precision=precision, workers=workers, progress=progress, title=title)
        with shards:
            for key, (_, embeddings) in zip(wanted, run, strict=True):
                shards.add(key, embeddings)
                found[key] = embeddings
    return [found[key] for key in keys]


def iterate_cached_embeddings(
    embedder: Embedder,
    sources: Sequence[Source],
    reading: Reading,
    *,
    folder: Path | None = None,
    precision: str = "auto",
    workers: int = 2,
    on_error: OnError | None = None,
) -> Generator[tuple[Source, Tensor], None, None]:
    """`cached_embeddings` one source after the other: flat memory for any number of files.

    Args:
        embedder: see `embed`.
        sources: files and their windows.
        reading: how windows are read.
        folder: of the cache; None: `embeddings` in the cache folder.
        precision: see `resolve_precision`.
        workers: loader processes.
        on_error: see `embed`.

    Yields:
        Each source that can be read, in order, with float32 `(len(starts), width)`.

    Raises:
        InputError: see `embed`.
        FileNotFoundError: a file is gone, and its embeddings are not cached.
    """
    precision = resolve_precision(precision)
    shards, failed = _shards(embedder, reading, precision, folder), dict[str, Exception]()
    keys = dict(zip(sources, _keys(shards, sources), strict=True))
    wanted = {key: source for source, key in keys.items() if key not in shards}

    def fail(source: Source, error: Exception) -> None:
        failed[keys[source]] = error

    def run(some: Sequence[Source]) -> Iterator[tuple[Source, Tensor]]:
        catch = None if on_error is None else fail
        if has_other_pool():
            return embed_remotely(embedder, some, reading, precision=precision, on_error=catch)
        return embed(embedder, some, reading, precision=precision, workers=workers, on_error=catch)

    computed = run(list(wanted.values()))
    with shards:
        for source, ready in _with_stored(sources, keys, shards):
            key = keys[source]
            while key not in ready and key in wanted and key not in failed:
                found = next(computed, None)  # calls `fail` for the broken sources on its way, which may be the last
                assert found or key in failed
                if found:
                    shards.add(keys[found[0]], found[1])
                    ready[keys[found[0]]] = found[1]
            cached = ready.get(key)
            if key not in wanted and not _is_usable(cached, source, shards):
                cached = next((embeddings for _, embeddings in run([source])), None)
                if cached is not None:
                    shards.add(key, cached)
                    ready[key] = cached
            if cached is not None:
                yield source, cached
            elif on_error is not None:
                on_error(source, failed[key])


def _with_stored(
    sources: Sequence[Source], keys: Mapping[Source, str], shards: TensorShards
) -> Iterator[tuple[Source, dict[str, Tensor]]]:
    """Each source with the embeddings of its block that are stored, read together: a shard is opened once a block."""
    block: list[Source] = []
    windows = 0
    for source in sources:
        if block and windows + len(source.starts) > BLOCK:
            yield from _each_with(block, keys, shards)
            block, windows = [], 0
        block.append(source)
        windows += len(source.starts)
    yield from _each_with(block, keys, shards)


def _each_with(
    block: Sequence[Source], keys: Mapping[Source, str], shards: TensorShards
) -> Iterator[tuple[Source, dict[str, Tensor]]]:
    ready = shards.read(keys[source] for source in block if keys[source] in shards)
    for source in block:
        yield source, ready


def _is_usable(cached: Tensor | None, source: Source, shards: TensorShards) -> bool:
    """Whether cached embeddings can be those of a source; else a warning says that they are computed again."""
    if cached is None:  # of a spoiled shard
        return False
    if len(cached) == len(source.starts) and bool(cached.isfinite().all()):
        return True
    logger.warning(
        "%s: expected %d finite embeddings of %s, got %d%s; they are computed again",
        shards.folder, len(source.starts), source.path, len(cached),
        "" if bool(cached.isfinite().all()) else ", some NaN or infinite",
    )  # fmt: skip
    return False


def _shards(embedder: Embedder, reading: Reading, precision: str, folder: Path | None) -> TensorShards:
    name = embedder_key(embedder, tower_of(embedder), reading, precision)
    return TensorShards((folder or cache_folder() / EMBEDDINGS) / name, embedder.width)


def _keys(shards: TensorShards, sources: Sequence[Source]) -> list[str]:
    """A key for each source; files that are gone are reported."""
    keys = CacheKeys(shards.stored)
    found = [keys.of(source.path, repr(tuple(map(float, source.starts)))) for source in sources]
    keys.report_gone("embeddings")
    return found
