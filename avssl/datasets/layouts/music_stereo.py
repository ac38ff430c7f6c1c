"""MUSIC-Stereo (Xu et al. 2021): the videos of MUSIC and MUSIC-21 whose left and right channels differ.

Its list was not released. It is made here as it was made there, by the energy of left minus right; the threshold, which
is not published, is ours. 8 of 10 videos are for training, one for validation, one for testing, by their ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layouts.music import Music

LEAST_DB = -30.0
"""Level of left minus right relative to left plus right: about half a dB of level difference, near the threshold of
perception."""
TENTHS = ("train",) * 8 + ("val", "test")


class MusicStereo(Music):
    """MUSIC-Stereo (Xu 2021): the clips of MUSIC whose left and right channels differ.

    The clips of MUSIC, rejected where their channels do not differ; split by csv lists, else by their ids.
    """

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the clips as `Music` does, with a least level of left minus right.

        Raises:
            InputError: see `Music.read`.
        """
        found = super().read(root, exclude)
        clips = [replace(each, min_difference_db=LEAST_DB) for each in found.recordings]
        return replace(found, recordings=tuple(clips) if found.lists else _split(clips))


def _split(clips: Sequence[Recording]) -> tuple[Recording, ...]:
    return tuple(replace(each, split=TENTHS[crc32(each.key.encode()) % len(TENTHS)]) for each in clips)
