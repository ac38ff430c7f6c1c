"""The built-in data sets that heads use where none is named."""

from __future__ import annotations

from pathlib import Path

from avssl.io.cache_folder import cache_folder
from avssl.synth.soundscape.soundscape_dataset import VERSION, ambience

ORDER = 1
"""Of the ambisonics; heads listen to no higher one, and order 4 would take 14 GB."""


def stand_in(layout: str) -> Path:
    """The folder of the made-up data set in the shape of `eigenscape` or `tau`; made when it is asked for first.

    Raises:
        OSError: the cache cannot be written.
    """
    return ambience(cache_folder() / f"ambience-{VERSION}-{layout}-order{ORDER}", layout, order=ORDER)
