"""What is computed of media once, and found again without them: embeddings, lengths, and what a data set is made of."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from avssl.data.atomic import replacing
from avssl.data.labelled import Labelled
from avssl.data.media import probe
from avssl.data.media.whole import Pictures, Sound
from avssl.data.processes import Batch, in_order
from avssl.data.windows import Reading, Source
from avssl.models.encoders import Encoders
from avssl.train.counter import Counter
from avssl.train.embed import embed
from avssl.train.world import cache

VERSION = 1
"""Of how windows are read: embeddings of another one are computed anew."""
FILES = 256
"""Files a shard."""
SECONDS = 120.0
"""Between one shard and the next at most: so much is lost when a run is killed."""


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
    shards = _Shards((place or cache() / "embeddings") / _name(encoders, tower, reading))
    names = [shards.name(source) for source in sources]
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


def lengths(
    paths: Sequence[Path], tower: str, *, place: Path | None = None, workers: int = 2, title: str = ""
) -> list[float]:
    """Seconds of the sound (tower audio) or of the pictures (tower video) of files, each measured once.

    Args:
        paths: media; of one that is gone the last known length counts.
        tower: audio or video.
        place: where lengths are kept; None: `embeddings` in the cache.
        workers: loader processes.
        title: of the bar.

    Raises:
        ValueError: a file is broken, or has no such stream.
        FileNotFoundError: a file is gone, and nothing is known of it.
    """
    file = (place or cache() / "embeddings") / "lengths.jsonl"
    known = _known_lengths(file)
    names = {path: _facts(path, tower, known) for path in paths}
    wanted = {path: name for path, name in names.items() if name not in known}
    if wanted:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log, Counter(title or "lengths of files", len(wanted)) as counter:
            found = in_order(partial(_measured, tower=tower), list(wanted), workers)
            for name, seconds in zip(wanted.values(), found, strict=True):
                known[name] = float(seconds["seconds"])
                log.write(json.dumps([name, known[name]]) + "\n")
                counter.advance(1)
    return [known[names[path]] for path in paths]


def length(path: Path, tower: str) -> float:
    """Seconds of the sound (tower audio) or of the pictures (tower video) of a file.

    Raises:
        ValueError: it is broken, or has no such stream.
        FileNotFoundError: it is gone.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected {tower}, there is no such file")
    if tower == "video":
        return Pictures(path).length()
    # Headers of what was streamed tell no length: then by all of its packets.
    return Sound(path).seconds or probe(path).seconds


def remembered(
    root: Path, settings: Mapping[str, Any], read: Callable[[], Labelled], place: Path | None = None
) -> Labelled:
    """A labelled data set; once its media are moved away, as it was read the last time.

    Args:
        root: of the data set.
        settings: what `read` depends on besides; plain values.
        read: reads the data set.
        place: where it is kept; None: `labelled` in the cache.

    Raises:
        ValueError: `read` did, and media are there or nothing is remembered.
        FileNotFoundError: likewise.
    """
    name = _digest(os.path.abspath(root), json.dumps(dict(settings), sort_keys=True, default=str))
    path = (place or cache() / "labelled") / f"{name}.json"
    try:
        found = read()
    except (ValueError, OSError):
        if not path.is_file():
            raise
        found = Labelled.load(path)
        if any((found.root / (each.video or each.sound)).is_file() for each in found.examples):
            raise
        print(f"{root}: its media are gone; goes on with what is remembered of {found.name}", file=sys.stderr)
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save(path)
    return found


class _Shards:
    """A folder of safetensors files, each with the embeddings of some files; written as they come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns):
            self.held.update(dict.fromkeys(_keys(path), path))
        self._last = {name.partition("-")[0]: name for name in self.held}
        self._waiting: dict[str, Tensor] = {}
        self._begun = time.monotonic()

    def __enter__(self) -> _Shards:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def name(self, source: Source) -> str:
        """What a source's embeddings are called; of a file that is gone as they were."""
        stem = _digest(os.path.abspath(source.path), repr(tuple(map(float, source.starts))))
        return _last_known(stem, source.path, self._last)

    def add(self, name: str, embeddings: Tensor) -> None:
        """Keep the embeddings of a source."""
        self._waiting[name] = embeddings
        if len(self._waiting) >= FILES or time.monotonic() - self._begun > SECONDS:
            self._write()

    def read(self, names: Sequence[str]) -> list[Tensor]:
        """The embeddings of these names."""
        found: dict[str, Tensor] = {}
        for path in {self.held[name] for name in names}:
            with safe_open(path, "pt") as shard:
                found.update({name: shard.get_tensor(name) for name in set(names) if self.held[name] == path})
        return [found[name] for name in names]

    def _write(self) -> None:
        if self._waiting:
            path = self.folder / f"{_digest(*self._waiting)}.safetensors"
            with replacing(path) as part:
                save_file(self._waiting, part)
            self.held.update(dict.fromkeys(self._waiting, path))
        self._waiting, self._begun = {}, time.monotonic()


def _keys(path: Path) -> list[str]:
    """The names in a shard; none if it is broken, so that they are computed again."""
    try:
        with safe_open(path, "pt") as shard:
            return list(shard.keys())
    except (SafetensorError, OSError):
        return []


def _name(encoders: Encoders, tower: str, reading: Reading) -> str:
    seen = repr(sorted(reading.of(tower).items()))
    return f"{tower}-{_digest(str(VERSION), encoders.fingerprint(), tower, seen)}"


def _last_known(stem: str, path: Path, last: Mapping[str, str]) -> str:
    """A name that tells a file as it is from what it was; of a file that is gone, the last one known."""
    try:
        status = path.stat()
    except OSError:
        return last.get(stem, f"{stem}-gone")
    return f"{stem}-{status.st_size}-{status.st_mtime_ns}"


def _facts(path: Path, tower: str, known: Mapping[str, float]) -> str:
    last = {name.partition("-")[0]: name for name in known}
    return _last_known(_digest(tower, os.path.abspath(path)), path, last)


def _known_lengths(file: Path) -> dict[str, float]:
    known: dict[str, float] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            name, seconds = json.loads(line)
            known[str(name)] = float(seconds)
        except (ValueError, TypeError):
            continue  # cut short by a crash: measured again
    return known


def _measured(path: Path, tower: str) -> Batch:
    return {"seconds": torch.tensor(length(path, tower), dtype=torch.float64)}


def _digest(*parts: str) -> str:
    """32 hexadecimal digits of some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
