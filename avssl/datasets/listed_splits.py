"""Splits of a manifest by lists beside it instead of its own column, of which some data sets have several sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avssl.datasets.layouts.splits import SPLITS, sets_of_lists, splits_of
from avssl.datasets.layouts.video_lists import clip_name, h5_names, lines
from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError

H5 = (".h5", ".hdf5")
SUFFIXES = (".txt", *H5)


def listed_clips(path: Path) -> set[str]:
    """Names of clips in a list: the first field of each line of a text file, or the dataset `audio` of an h5 file.

    Raises:
        InputError: a file that cannot be read.
    """
    paths = h5_names(path, "audio") if path.suffix in H5 else [line.split(",")[0] for line in lines(path)]
    return set(filter(None, map(clip_name, paths)))


def split_by_lists(manifest: Manifest, folder: Path) -> Manifest:
    """A manifest whose splits are those of the lists `train`, `val` and `test` (`.txt` or `.h5`) of a folder.

    A clip is in a list by its key, or by the name of its source. Clips in no list have no split.

    Args:
        manifest: the clips.
        folder: of the lists.

    Raises:
        InputError: no lists in the folder, one that cannot be read, a clip in two of them, or none of its clips in the
            manifest.
    """
    sets = sets_of_lists(folder, SUFFIXES) if folder.is_dir() else {}
    if "." not in sets:
        raise InputError(f"{folder}: expected lists train, val or test (.txt or .h5) of clips, got none")
    named: dict[str, set[str]] = {name: set() for name in SPLITS}
    for path in sets["."]:
        named[path.stem] |= listed_clips(path)
    split_of = splits_of(folder, named)
    rows = tuple(replace(row, split=_split(row, split_of)) for row in manifest.rows)
    found = {row.split for row in rows}
    if not {name for name, clips in named.items() if clips} <= found:
        absent = [name for name in SPLITS if named[name] and name not in found]
        raise InputError(
            f"{folder}: expected clips of {manifest.root} in the list {absent[0]}, got {len(named[absent[0]])} other "
            f"names such as {min(named[absent[0]])!r}"
        )
    return replace(manifest, rows=rows)


def sets_in(folder: Path) -> Sequence[Path]:
    """The folders of several sets of lists, such as `split1` to `split5`: below a folder, or the folder itself.

    Raises:
        InputError: there are none.
    """
    found = [folder / name for name in sets_of_lists(folder, SUFFIXES)] if folder.is_dir() else []
    if not found:
        raise InputError(
            f"{folder}: expected folders with lists train and test (.txt or .h5), such as split1 to split5, got none"
        )
    return found


def _split(row: Row, split_of: dict[str, str]) -> str:
    return split_of.get(row.key) or split_of.get(clip_name(row.source), "")
