"""A labelled data set, known still when its media are gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avssl.datasets.dataset import Dataset
from avssl.train.names import digest, located
from avssl.train.world import cache


def remembered(
    root: Path, settings: Mapping[str, Any], read: Callable[[], Dataset], place: Path | None = None
) -> Dataset:
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
    name = digest(located(root), json.dumps(dict(settings), sort_keys=True, default=str))
    path = (place or cache() / "labelled") / f"{name}.json"
    try:
        found = read()
    except (ValueError, OSError):
        if not path.is_file():
            raise
        found = Dataset.load(path)
        if any((found.root / (each.video or each.sound)).is_file() for each in found.recordings):
            raise
        print(f"{root}: its media are gone; goes on with what is remembered of {found.name}", file=sys.stderr)
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    found.save(path)
    return found
