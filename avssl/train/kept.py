"""Embeddings that are computed once, and found again without the media."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from torch import Tensor

from avssl.data.windows import Reading, Source
from avssl.models.encoders import Encoders
from avssl.train.embed import Broken, embed
from avssl.train.lengths import length, lengths
from avssl.train.names import Names, digest
from avssl.train.remembered import remembered
from avssl.train.shards import Shards
from avssl.train.world import cache

__all__ = ["keeping", "kept", "length", "lengths", "remembered"]

VERSION = 1
"""Of how windows are read: embeddings of another one are computed anew."""


def kept(
    encoders: Encoders,
    sources: Sequence[Source],
    tower: str,
    reading: Reading,
    *,
    place: Path | None = None,
    precision: str = "bf16-mixed",
    workers: int = 2,
    progress: bool = True,
    title: str = "",
) -> list[Tensor]:
    """Embeddings of the windows of files; those that were computed before are read, whether or not the media are there.

    They are known by the encoders' configuration and weights, by what of the reading matters to the tower, and by a
    file's path, size and time of change. Of a file that is gone the last known ones count. A run that was stopped
    goes on where it was.

    Args:
        encoders: see `embed`.
        sources: files and their windows.
        tower: audio or video.
        reading: how windows are read.
        place: where they are kept; None: `embeddings` in the cache.
        precision: for what is computed; what was computed in another one is as good.
        workers: loader processes.
        progress: show a bar, on a terminal.
        title: of the bar.

    Returns:
        Of each source float32 `(len(starts), width)`.

    Raises:
        InputError: see `embed`.
        FileNotFoundError: a file is gone, and nothing is known of it.
    """
    shards = Shards((place or cache() / "embeddings") / _name(encoders, tower, reading))
    known = Names(shards.held)
    names = [known.of(source.path, repr(tuple(map(float, source.starts)))) for source in sources]
    wanted = {name: source for name, source in zip(names, sources, strict=True) if name not in shards.held}
    if wanted:
        run = embed(
            encoders,
            list(wanted.values()),
            tower,
            reading,
            precision=precision,
            workers=workers,
            progress=progress,
            title=title,
        )
        with shards:
            for name, (_, embeddings) in zip(wanted, run, strict=True):
                shards.add(name, embeddings)
    return shards.read(names)


def keeping(
    encoders: Encoders,
    sources: Sequence[Source],
    tower: str,
    reading: Reading,
    *,
    place: Path | None = None,
    precision: str = "bf16-mixed",
    workers: int = 2,
    broken: Broken | None = None,
) -> Generator[tuple[Source, Tensor], None, None]:
    """`embed`, for any number of files with flat memory; what is computed is kept, so that a stopped run goes on.

    Unlike those of `kept`, embeddings are known by their precision too: it was asked for.

    Args:
        encoders: see `embed`.
        sources: files and their windows.
        tower: audio or video.
        reading: how windows are read.
        place: where they are kept; None: `embeddings` in the cache.
        precision: in which the tower runs.
        workers: loader processes.
        broken: see `embed`.

    Yields:
        Each source that can be read, in order, with float32 `(len(starts), width)`.

    Raises:
        InputError: see `embed`.
        FileNotFoundError: a file is gone, and nothing is known of it.
    """
    shards = Shards((place or cache() / "embeddings") / _name(encoders, tower, reading, precision))
    known, failed = Names(shards.held), dict[str, Exception]()
    names = {source: known.of(source.path, repr(tuple(map(float, source.starts)))) for source in sources}
    wanted = {name: source for source, name in names.items() if name not in shards}

    def fail(source: Source, error: Exception) -> None:
        failed[names[source]] = error

    told = None if broken is None else fail
    run = embed(encoders, list(wanted.values()), tower, reading, precision=precision, workers=workers, broken=told)
    with shards:
        for source in sources:
            name = names[source]
            while name not in shards and name not in failed:
                found = next(run, None)  # tells of those that are broken on the way, which may be the last
                assert found or name in failed
                if found:
                    shards.add(names[found[0]], found[1])
            if name in shards:
                yield source, shards.one(name)
            elif broken is not None:
                broken(source, failed[name])


def _name(encoders: Encoders, tower: str, reading: Reading, precision: str = "") -> str:
    seen = repr(sorted(reading.of(tower).items()))
    return f"{tower}-{digest(str(VERSION), encoders.fingerprint(), tower, seen, *filter(None, [precision]))}"
