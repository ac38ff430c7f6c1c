"""MUSIC and MUSIC-21 (Zhao et al. 2018, 2019): solos and duets on YouTube, named by lists; the files lie anywhere.

The lists are the official `MUSIC*_videos.json`, {"videos": {class: [id, ...]}}, or Sep-Stereo's train.csv, val.csv and
test.csv, "SOUND,FRAMES" a line without a header. A clip is a video of the id's name with its own sound, or an audio
file of that name with a video or with a folder of numbered frames below `frames`, 10 per second.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avssl.datasets.dataset import Dataset
from avssl.datasets.layout import Layout, SplitListOptions
from avssl.datasets.layouts.pair_files import FLAT, Kind, gather, paired
from avssl.datasets.layouts.splits import choose, sets_of_lists, splits_of
from avssl.datasets.layouts.synthetic import set_name
from avssl.datasets.layouts.video_lists import clip_name, table
from avssl.errors import InputError
from avssl.regular_files import read_json

STEREO = Kind("stereo", own_audio=True)


class Music(Layout):
    """MUSIC and MUSIC-21 (Zhao 2018, 2019): ordinary video of musicians with stereo audio.

    Listed clips with video and audio, split by csv lists.
    """

    projection = FLAT
    Options = SplitListOptions
    options: SplitListOptions

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Read the listed clips with video and audio, their splits, and the names that are missing.

        Args:
            root: the folder with the lists and the media.
            exclude: folder that is not searched.

        Raises:
            InputError: no lists, one that cannot be read or is of another kind, no such folder of lists, a clip in two
                splits, or no clip with video and audio.
        """
        sets = sets_of_lists(root, (".csv",))
        chosen = choose(root, sets, self.options.split)
        named = {path.stem: _csv_names(path) for path in sets.get(chosen, ())}
        splits = splits_of(root / chosen, named)
        listed = splits.keys() | {name for path in _json_lists(root, exclude) for name in _json_names(path)}
        if not listed:
            raise InputError(
                f"{root}: expected clips in MUSIC's lists (MUSIC_solo_videos.json, or train.csv), found none"
            )
        media = gather(root, exclude, listed.__contains__)
        return paired(set_name(root, "MUSIC"), root, media, STEREO, splits, listed, chosen)


def _json_lists(root: Path, exclude: Path | None) -> list[Path]:
    found = [*root.glob("*.json"), *root.glob("*/MUSIC*.json")]
    return sorted(path for path in found if exclude is None or path.parent.resolve() != exclude.resolve())


def _json_names(path: Path) -> list[str]:
    """The ids of all classes."""
    shape = f'{path}: expected {{"videos": {{class: [id, ...]}}}} in JSON'
    found = read_json(path, '{"videos": {class: [id, ...]}} in JSON', encoding="utf-8-sig")
    classes = found.get("videos") if isinstance(found, dict) else None
    if not isinstance(classes, dict) or not all(isinstance(ids, list) for ids in classes.values()):
        raise InputError(f"{shape}, found another shape")
    ids = [identity for names in classes.values() for identity in names]
    if strange := [identity for identity in ids if not isinstance(identity, str)]:
        raise InputError(f"{shape}, {strange[0]!r} is no id")
    return [name for identity in ids if (name := clip_name(identity))]


def _csv_names(path: Path) -> list[str]:
    """The clips of a csv list; a third field, the number of frames, is allowed."""
    return [_csv_name(path, row) for row in table(path)]


def _csv_name(path: Path, row: Sequence[str]) -> str:
    names = {clip_name(each) for each in row[:2]}
    if len(row) not in (2, 3) or len(names) != 1 or not all(names):
        raise InputError(f"{path}: expected lines 'SOUND,FRAMES' of one clip, this is {','.join(row)[:60]!r}")
    return names.pop()
