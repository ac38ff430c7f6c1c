"""Synthetic datasets that heads use without a data set of the user."""

from __future__ import annotations

from pathlib import Path

from avssl.io.cache_folder import cache_folder, require_cache
from avssl.io.folder_lock import folder_lock
from avssl.synth.soundscape.soundscape_dataset import VERSION, ambience

ORDER = 1
"""Ambisonic order; heads use order 1 at most, and order 4 would take 14 GB."""


def synthetic_dataset_folder(layout: str) -> Path:
    """Folder of the synthetic dataset in the layout `eigenscape` or `tau`, rendered on first use.

    Raises:
        OutputError: the cache cannot be written.
    """
    out = require_cache(cache_folder() / f"ambience-{VERSION}-{layout}-order{ORDER}")
    with folder_lock(out, wait=True):  # another head may be rendering the same
        return ambience(out, layout, order=ORDER)
