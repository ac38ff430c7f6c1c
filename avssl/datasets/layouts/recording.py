"""A recording as a layout finds it, before anything is read from it."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

LONGEST_KEY = 120  # with a suffix and a temporary ending well below the 255 bytes of most file systems


@dataclass(frozen=True)
class Recording:
    """Pictures and the sound that belongs to them."""

    key: str
    """Safe as a file name; no two recordings of a listing share it, even where case does not count."""
    video: Path
    """The file with the pictures, or a folder of numbered ones."""
    audio: Path
    """The file with the sound, or a folder of its numbered pieces; may be `video`."""
    split: str = ""
    """train, val, test, or nothing."""
    equirect: bool = False
    """The layout vouches for equirectangular frames, whatever shape they are stored in."""
    flat: bool = False
    """The layout vouches for pictures of an ordinary field of view."""
    channel_layout: str = "auto"
    """What the layout says of the sound: stereo, binaural, or auto where it says nothing."""
    least_difference: float = -math.inf
    """dB of left minus right below left plus right; sound for two ears that has less of it is refused."""
    frame_rate: float = 0.0
    """Pictures a second, of a folder of them."""
    problem: str = ""
    """Why it cannot be prepared, if the layout can tell already."""


@dataclass(frozen=True)
class Listing:
    """What a layout found under a root."""

    recordings: list[Recording]
    """In the order of their keys."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """What the lists promise and the disk lacks: kind -> names."""
    lists: str = ""
    """Which of several sets of lists says how the recordings are split; nothing where there is no choice."""
    leakage: dict[str, dict[str, int]] = field(default_factory=dict)
    """Set of lists -> how many clips it tests, and how many of them stand in each other list."""


def safe_key(path: Path) -> str:
    """A file name for a relative path without its suffix: a function of the path alone.

    Folders are joined by two underscores; where that or an odd character loses something, a checksum is added.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", "__".join(path.parts))
    plain = re.sub(r"^\.", "_", plain)[:LONGEST_KEY]
    return plain if plain == os.fspath(path) else f"{plain}-{checksum(path)}"


def checksum(path: Path) -> str:
    """Eight hexadecimal digits of a path's bytes, whatever their encoding."""
    return f"{zlib.crc32(os.fsencode(path)):08x}"


def listing(
    root: Path, recordings: Sequence[Recording], missing: dict[str, list[str]] | None = None, lists: str = ""
) -> Listing:
    """Recordings in the order of their keys, those whose keys clash told apart by a checksum of their paths."""
    times = Counter(each.key.casefold() for each in recordings)
    unique = [each if times[each.key.casefold()] == 1 else _told_apart(root, each) for each in recordings]
    return Listing(sorted(unique, key=lambda each: each.key), missing or {}, lists)


def _told_apart(root: Path, recording: Recording) -> Recording:
    return replace(recording, key=f"{recording.key}-{checksum(recording.video.relative_to(root))}")
