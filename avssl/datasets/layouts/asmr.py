"""YouTube-ASMR-300K (Yang, Russell and Salamon 2020) as its authors' script downloads it: clips cut from videos.

`data/video/{id}_{start}_{end}.mp4` and `data/audio/{id}_{start}_{end}.flac`, in milliseconds; numbered frames in
`frames/folder_{id}_{start}_{end}`, 10 per second, replace a missing video. The lists train.csv,
val.csv and test.csv have a header, and columns ytid, start_s and end_s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import Layout, SplitListOptions
from avssl.datasets.layouts.pair_files import FLAT, Kind, gather, paired
from avssl.datasets.layouts.splits import choose, sets_of_lists, splits_of
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import clip_name, table
from avssl.errors import InputError

CLIP = re.compile(r"[\w-]+_\d+_\d+")
COLUMNS = (
    ("ytid", "youtube_id", "video_id", "id"),
    ("start_s", "start", "start_seconds"),
    ("end_s", "end", "end_seconds"),
)
STEREO = Kind("stereo")
LONGEST = 10**6
"""Seconds; no video is as long."""


class YouTubeAsmr(Layout):
    """YouTube-ASMR-300K (Yang 2020): ordinary video with stereo audio.

    Clips with a video and an audio file, split by csv lists.
    """

    projection = FLAT
    Options = SplitListOptions
    options: SplitListOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the clips that have both files, their splits, and the names that are missing.

        Args:
            root: the folder with `data`, or several such; the lists lie in it, or in a folder of it.
            exclude: folder that is not searched.

        Raises:
            InputError: no clip with both files, no such folder of lists, a list of other columns, or a clip in two
                lists.
        """
        sets = sets_of_lists(root, (".csv",))
        chosen = choose(root, sets, self.options.split)
        splits = splits_of(root / chosen, {path.stem: _names(path) for path in sets.get(chosen, ())})
        media = gather(root, exclude, lambda name: CLIP.fullmatch(name) is not None)
        return paired(set_name(root, "YouTube-ASMR-300K"), root, media, STEREO, splits, splits.keys(), chosen)


def _names(path: Path) -> list[str]:
    """The clips of a list by their files' names."""
    header, *rows = table(path) or [[]]
    places = _places(path, header)
    return [_name(path, row, places) for row in rows]


def _places(path: Path, header: Sequence[str]) -> list[int]:
    """Where id, start and end stand."""
    found = [each.lstrip("# ").lower() for each in header]
    places = [next((found.index(name) for name in names if name in found), -1) for names in COLUMNS]
    if -1 in places:
        expected = ",".join(names[0] for names in COLUMNS)
        raise InputError(f"{path}: expected a header with columns {expected}, found {','.join(header)[:60]!r}")
    return places


def _name(path: Path, row: Sequence[str], places: Sequence[int]) -> str:
    try:
        identity, start, end = (row[place] for place in places)
        return f"{clip_name(identity)}_{_milliseconds(start)}_{_milliseconds(end)}"
    except (IndexError, ValueError, InvalidOperation) as error:
        raise InputError(f"{path}: expected id, start and end in seconds, this is {','.join(row)[:60]!r}") from error


def _milliseconds(seconds: str) -> int:
    # Decimal, because 1.001 s are 1001 ms: a float has a little less.
    exact = Decimal(seconds)
    if not 0 <= exact < LONGEST:
        raise InputError(seconds)
    return int(1000 * exact)
