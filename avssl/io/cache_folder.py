"""Folder of the on-disk caches: synthetic datasets, embeddings, dataset indices, clip filters."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`AVSSL_CACHE` if it is set, else `~/.cache/avssl`; not created here."""
    return Path(os.environ.get("AVSSL_CACHE") or Path.home() / ".cache" / "avssl")
