"""Keys of the embedding cache: one rule for everything that is computed from media files."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from avssl.data.clip_options import Reading
from avssl.models.embedder import Embedder
from avssl.regular_files import file_status
from avssl.stores.virtual_paths import absolute_path

VERSION = 3
"""Version of window reading, of lengths and of the key rule; values of another version are computed again."""

logger = logging.getLogger(__name__)


class CacheKeys:
    """Keys `STEM-SIZE-MTIME`: the stem is a hash of a file's path and of settings, the rest is the file's identity.

    A file that has changed gets a new key. A file that is gone gets its last known key, and counts as gone.

    Args:
        known: keys that are cached, the latest last.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._latest = {key.partition("-")[0]: key for key in known}
        self._asked: set[Path] = set()
        self._gone: dict[Path, None] = {}

    def of(self, path: Path, *settings: str) -> str:
        """The key of a value that is computed from a file with these settings."""
        self._asked.add(path)
        stem = short_hash(absolute(path), *settings)
        try:
            status = file_status(path)
        except OSError:
            if stem not in self._latest:
                return f"{stem}-gone"
            self._gone[path] = None
            return self._latest[stem]
        return f"{stem}-{status.st_size}-{status.st_mtime_ns}"

    def report_gone(self, values: str, level: int = logging.WARNING) -> None:
        """Log in one line how many of the files are gone, so that their cached values are used; nothing if none is.

        The same line is logged once in a process: a head asks for the same files once a row of its table.

        Args:
            values: that are cached, such as embeddings.
            level: of the log record.
        """
        if self._gone:
            counts = f"{len(self._gone)} of {len(self._asked)} files are gone"
            _log_once(level, f"{counts}, their cached {values} are used (first: {next(iter(self._gone))})")


def embedder_key(embedder: Embedder, tower: str, reading: Reading, precision: str) -> str:
    """The part of a key that all files share: `TOWER-HASH`.

    Hashed are weights and features (the embedder's fingerprint), the geometry of the windows as far as the tower sees
    it, and the precision, which sets the dtype of autocast.

    Args:
        embedder: see `Embedder.fingerprint`.
        tower: audio or video.
        reading: how windows are read.
        precision: Lightning Fabric's name, not `auto`.
    """
    geometry = repr(sorted(reading.of(tower).items()))
    return f"{tower}-{short_hash(str(VERSION), embedder.fingerprint(), tower, geometry, precision)}"


@lru_cache(maxsize=1024)
def _log_once(level: int, message: str) -> None:
    logger.log(level, message)


def short_hash(*parts: str) -> str:
    """32 hexadecimal digits of the SHA-256 of some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def absolute(path: Path) -> str:
    """The absolute path, symbolic links unresolved: they are gone once their target is."""
    return os.path.normpath(absolute_path(path))
