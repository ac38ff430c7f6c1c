"""Keys of recordings: safe file names that depend on the recording's own path alone."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avssl.datasets.dataset import Recording

LONGEST_KEY = 120  # with a suffix and a temporary ending well below the 255 bytes of most file systems


def safe_key(path: Path) -> str:
    """File name for a relative path without its suffix: a function of the path alone.

    Folders are joined by two underscores; where that or an odd character loses something, a checksum is added.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", "__".join(path.parts))
    plain = re.sub(r"^\.", "_", plain)[:LONGEST_KEY]
    return plain if plain == os.fspath(path) else f"{plain}-{checksum(path)}"


def checksum(path: Path) -> str:
    """Eight hexadecimal digits of a path's bytes, whatever their encoding."""
    return f"{zlib.crc32(os.fsencode(path)):08x}"


def unique_keys(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    """Recordings in the order of their keys; keys equal but for their case get a checksum of the video's path.

    Where two of many have one checksum too, theirs is a longer one.
    """
    for digest in (checksum, _long_checksum):
        times = Counter(each.key.casefold() for each in recordings)
        recordings = [
            each if times[each.key.casefold()] == 1 else replace(each, key=f"{each.key}-{digest(Path(each.video))}")
            for each in recordings
        ]
    return tuple(sorted(recordings, key=lambda each: each.key))


def _long_checksum(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
