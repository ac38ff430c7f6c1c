"""The built-in data sets that heads use where none is named."""

from __future__ import annotations

from pathlib import Path

from avssl.scenes.ambience import VERSION, ambience
from avssl.train.world import cache

SECONDS = {"eigenscape": 60.0}
ORDER = 1


def stand_in(layout: str) -> Path:
    """The folder of the made-up data set in this shape; made when it is asked for first.

    Raises:
        OSError: the cache cannot be written.
    """
    out = cache() / f"ambience-{VERSION}-{layout}-{SECONDS[layout]:g}s-order{ORDER}"
    return ambience(out, seconds=SECONDS[layout], order=ORDER)
