"""MUSIC-Stereo (Xu et al. 2021): the videos of MUSIC and MUSIC-21 whose left and right really differ.

Its list was not released. It is made here as it was made there, by the energy of left minus right; the threshold, which
is not published, is ours. 8 of 10 videos are for training, one for validation, one for testing, by their ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from avssl.datasets.layouts import music
from avssl.datasets.layouts.recording import Listing, Recording

LEAST_DB = -30.0
"""Of left minus right below left plus right: a level difference of half a dB, about the least that is heard."""
TENTHS = ("train",) * 8 + ("val", "test")


def find(root: Path, leave_out: Path, split: str = "") -> Listing:
    """The clips of MUSIC, to be refused where their channels do not differ; see `music.find`.

    Lists that say how they are split come first.

    Raises:
        InputError: see there.
    """
    found = music.find(root, leave_out, split)
    clips = [replace(each, least_difference=LEAST_DB) for each in found.recordings]
    return replace(found, recordings=clips if found.lists else _split(clips))


def _split(clips: Sequence[Recording]) -> list[Recording]:
    return [replace(each, split=TENTHS[crc32(each.key.encode()) % len(TENTHS)]) for each in clips]
