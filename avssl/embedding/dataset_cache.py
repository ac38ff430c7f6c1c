"""Cached index of a labelled data set, so that cached embeddings can be used without the media."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avssl.datasets.dataset import Dataset
from avssl.embedding.cache_keys import absolute, short_hash
from avssl.errors import InputError
from avssl.io.cache_folder import cache_folder, writable_cache

logger = logging.getLogger(__name__)


def cached_dataset(
    root: Path, settings: Mapping[str, Any], read: Callable[[], Dataset], folder: Path | None = None
) -> Dataset:
    """A labelled data set as `read` gives it; once its media are gone, its last known index, with a warning.

    Args:
        root: of the data set.
        settings: everything else that `read` depends on; plain values.
        read: reads the data set.
        folder: of the cache; None: `labelled` in the cache folder.

    Raises:
        InputError: `read` raised it, and media are there or no index is cached.
        FileNotFoundError: `read` raised it, under the same condition.
    """
    key = short_hash(absolute(root), json.dumps(dict(settings), sort_keys=True, default=str))
    path = (folder or cache_folder() / "labelled") / f"{key}.json"
    try:
        found = read()
    except (InputError, OSError):
        if not path.is_file():
            raise
        found = Dataset.load(path)
        if any((found.root / (each.video or each.audio)).is_file() for each in found.recordings):
            raise
        logger.warning("%s: media are gone, the cached index of %s is used", root, found.name)
        return found
    found.save(writable_cache(path.parent) / path.name)
    return found
