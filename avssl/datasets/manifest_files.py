"""Files that a manifest names: they are there, and inside its folder; a folder of many is listed once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avssl.datasets.manifest_rows import Rows
from avssl.errors import InputError
from avssl.io.listed_names import check_inside
from avssl.regular_files import is_regular
from avssl.stores.virtual_paths import PACKED, is_address

FOLDER = "the manifest's folder"
FEW = 32
"""Files of a folder up to which each is looked at by itself: the folder may hold a million others."""
MAY_LEAD_OUT = r"^[/\\]|:|\.\."
"""Part of every path that leads out of its folder, and of few others."""
UNLIKE_ADDRESS = r"(?i)%(2e|2f|5c)|[?#]"
"""Part of paths that HTTP reads as something else: encoded dots and slashes, a query, a fragment."""
UNUSUAL = r"//|(^|/)\.{0,2}(/|$)|\x00"
"""Part of paths that are no plain `folder/name`."""


def check_files(file: Path, rows: Rows, root: Path) -> None:
    """Check the paths of rows, and that their files exist.

    Args:
        file: the manifest, for errors.
        rows: of it.
        root: its folder.

    Raises:
        InputError: a path or a link leads out of the folder, files are gone, or a shard is too short.
    """
    paths = _paths(rows)
    suspects = paths.filter(pc.match_substring_regex(paths, MAY_LEAD_OUT))
    check_inside(suspects.to_pylist(), file, FOLDER)
    if is_address(root):  # a request each: they are looked for when they are read
        _check_addresses(file, paths)
        return
    paths = _check_shards(file, paths, root)
    names = paths.to_pylist()
    gone, out = _Folders(root.resolve()).problems(names, pc.match_substring_regex(paths, UNUSUAL).to_pylist())
    if out:
        raise InputError(f"{file}: paths stay inside {FOLDER}, {names[min(out)]!r} does not: a link leads out")
    if gone:
        raise InputError(
            f"{file}: {len(gone)} of its {len(names)} files are missing, the first is {names[min(gone)]!r}"
        )


def _check_addresses(file: Path, paths: pa.StringArray) -> None:
    """Check that paths are still below the folder once a store or a driver has read them as parts of an address."""
    if len(odd := paths.filter(pc.match_substring_regex(paths, UNLIKE_ADDRESS))):
        raise InputError(f"{file}: paths stay inside {FOLDER}, {odd[0].as_py()!r} has %2e, ? or #; rename the file")


def _check_shards(file: Path, paths: pa.StringArray, root: Path) -> pa.StringArray:
    """Check that shards are as long as the members in them need; returns shards and all other paths."""
    found = pc.extract_regex(paths, f"^{PACKED}$")
    packed = found.is_valid()
    if not pc.any(packed).as_py():
        return paths
    parts = found.filter(packed)
    ends = pc.add(*(pc.cast(parts.field(name), pa.int64()) for name in ("first", "length")))
    longest = pa.table([parts.field("shard"), ends], ["shard", "end"]).group_by("shard").aggregate([("end", "max")])
    for shard, end in zip(longest["shard"].to_pylist(), longest["end_max"].to_pylist(), strict=True):
        path = root / shard
        if is_regular(path) and (size := path.stat().st_size) < end:
            raise InputError(f"{path}: expected {end} bytes or more by {file}, got {size}; fetch or pack it again")
    return pa.concat_arrays([longest["shard"].combine_chunks(), paths.filter(pc.invert(packed))])


def _paths(rows: Rows) -> pa.StringArray:
    """The distinct paths, in the order of the rows, of each its video first."""
    (video, videos), (audio, audios) = rows.texts("video"), rows.texts("audio")
    both = pa.concat_arrays([videos, audios]).dictionary_encode()
    place = both.indices.to_numpy()
    codes = np.stack([place[video], place[len(videos) + audio]], axis=1).reshape(-1)
    distinct, first = np.unique(codes, return_index=True)
    return both.dictionary.take(pa.array(distinct[np.argsort(first)]))


class _Folders:
    """Looks for files below a folder whose own links are followed.

    Args:
        root: absolute, without links.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside: dict[str, bool] = {}
        """Folder -> whether it is below the root; each is looked at once."""

    def problems(self, names: list[str], unusual: list[bool]) -> tuple[list[int], list[int]]:
        """Places of the names that are no regular file, and of those that a link leads out of the root."""
        gone, out = [], []
        for place in self._unsettled(names, unusual):
            path = self.root / names[place]
            if not is_regular(path):
                gone.append(place)
            elif not self._is_below(path):
                out.append(place)
        return gone, out

    def _unsettled(self, names: list[str], unusual: list[bool]) -> Iterator[int]:
        """Places of the names that no listing shows to be regular files of a folder below the root."""
        by_folder: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            if unusual[place]:
                yield place
            else:
                by_folder.setdefault(name.rpartition("/")[0], []).append(place)
        for folder, places in by_folder.items():
            there = self._regular(folder) if len(places) > FEW else set()
            cut = len(folder) + bool(folder)
            yield from (place for place in places if names[place][cut:] not in there)

    def _regular(self, folder: str) -> set[str]:
        """Names of the regular files of a folder below the root, links left out."""
        if not self._is_inside(folder):
            return set()
        try:
            with os.scandir(self.root / folder) as entries:
                return {each.name for each in entries if each.is_file(follow_symlinks=False)}
        except OSError:
            return set()

    def _is_inside(self, folder: str) -> bool:
        if folder not in self._inside:
            try:
                self._inside[folder] = (self.root / folder).resolve().is_relative_to(self.root)
            except (OSError, RuntimeError):  # a loop of links
                self._inside[folder] = False
        return self._inside[folder]

    def _is_below(self, path: Path) -> bool:
        """Whether a file lies below the root once its links are followed."""
        if path.is_symlink():
            return path.resolve().is_relative_to(self.root)
        return self._is_inside(str(path.parent))
