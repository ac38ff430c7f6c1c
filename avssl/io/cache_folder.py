"""Folder of the on-disk caches: synthetic datasets, embeddings, dataset indices, clip filters."""

from __future__ import annotations

import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from avssl.errors import InputError, OutputError, one_line

ADVICE = "AVSSL_CACHE names another folder for the cache"
logger = logging.getLogger(__name__)
_warned = False


def cache_folder() -> Path:
    """`AVSSL_CACHE`, else `avssl` in `XDG_CACHE_HOME`, else `~/.cache/avssl`; not created here.

    Raises:
        InputError: none of them is set, and this user has no home folder.
    """
    if own := os.environ.get("AVSSL_CACHE"):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the standard has relative paths ignored
        return base / "avssl"
    try:
        return Path.home() / ".cache" / "avssl"
    except RuntimeError as error:
        raise InputError(f"expected a home folder for the cache, got none; {ADVICE}") from error


def require_cache(folder: Path) -> Path:
    """Create a folder of the cache that a command cannot do without; returns it.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        _check_writable(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}; {ADVICE}") from error
    return folder


def writable_cache(folder: Path) -> Path:
    """Create a folder of the cache; returns it, or with one warning in a process a temporary folder instead.

    Args:
        folder: of the cache; what can be read there is of use even where nothing can be written.
    """
    try:
        _check_writable(folder)
    except OSError as error:
        _warn_once(f"{one_line(error)}: nothing is cached beyond this command; {ADVICE}")
        own = Path(_temporary().name) / folder.name
        own.mkdir(exist_ok=True)
        return own
    return folder


def _check_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@lru_cache(maxsize=1)
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Lasts as long as the process."""
    return tempfile.TemporaryDirectory(prefix="avssl-cache-")


def _warn_once(message: str) -> None:
    global _warned
    if not _warned:
        logger.warning("%s", message)
    _warned = True
