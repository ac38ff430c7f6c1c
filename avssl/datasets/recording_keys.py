"""Keys of recordings: safe file names that depend on the recording's own path alone."""

from __future__ import annotations

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
    """Recordings in the order of their keys; keys equal but for their case get a checksum of the video's path."""
    times = Counter(each.key.casefold() for each in recordings)
    unique = (each if times[each.key.casefold()] == 1 else _with_checksum(each) for each in recordings)
    return tuple(sorted(unique, key=lambda each: each.key))


def _with_checksum(recording: Recording) -> Recording:
    return replace(recording, key=f"{recording.key}-{checksum(Path(recording.video))}")
