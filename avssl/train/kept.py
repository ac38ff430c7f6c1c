"""Embeddings that are computed once, and found again without the media."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from avssl.data.windows import Reading, Source
from avssl.models.encoders import Encoders
from avssl.train.embed import embed
from avssl.train.lengths import length, lengths
from avssl.train.names import Names, digest
from avssl.train.remembered import remembered
from avssl.train.shards import Shards
from avssl.train.world import cache

__all__ = ["kept", "length", "lengths", "remembered"]

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
        ValueError: see `embed`.
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


def _name(encoders: Encoders, tower: str, reading: Reading) -> str:
    seen = repr(sorted(reading.of(tower).items()))
    return f"{tower}-{digest(str(VERSION), encoders.fingerprint(), tower, seen)}"
