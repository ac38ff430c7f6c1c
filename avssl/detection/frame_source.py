"""Video that objects are detected in: the original recordings, which are larger, or the proxies; one for all clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from avssl.datasets.manifest import Manifest, Row
from avssl.datasets.prepare_journal import ENTRIES
from avssl.errors import InputError
from avssl.io.jsonl_journal import Entry, read_journal
from avssl.io.listed_names import leads_out
from avssl.media.video_reader import VideoReader
from avssl.printable_text import printable
from avssl.regular_files import is_regular

ORIGINAL, PROXY = "original", "proxy"
FRAMES = (ORIGINAL, PROXY)


class Panorama(NamedTuple):
    """Equirectangular video of a clip."""

    path: Path
    """The video."""
    stream: int
    """Index of the video stream."""
    start: float
    """Seconds from the file's beginning to the clip's."""
    rows: int
    """Pixels; columns are twice as many, also for 2:1 video stored as 16:9."""


class Panoramas:
    """Equirectangular video of a manifest's clips, by key; files are opened on access.

    Args:
        manifest: the clips.
        frames: `ORIGINAL` (recordings, which are larger) or `PROXY`, for all clips.

    Raises:
        InputError: a clip is not equirectangular.
    """

    def __init__(self, manifest: Manifest, frames: str) -> None:
        flat = next((row for row in manifest if row.width != 2 * row.height), None)
        if flat is not None:
            raise InputError(
                f"{manifest.root}: expected 360-degree clips (2:1) to detect objects in, got {flat.key!r} of "
                f"{flat.width}x{flat.height}"
            )
        self._folder, self._recordings, self.frames = manifest.root, Recordings(manifest.root), frames
        self._rows = {row.key: row for row in manifest}

    def __getitem__(self, key: str) -> Panorama:
        """Video that objects are detected in.

        Raises:
            InputError: the original recording is missing.
        """
        row = self._rows[key]
        if self.frames == PROXY:
            return self._proxy(row)
        recording = self._recordings.find(row)
        if recording is None:
            raise InputError(
                f"{row.source}: expected the original recording of clip {key!r} (frames is original), got none; bring "
                "it back, or delete the file of objects and detect with frames=proxy"
            )
        frames = VideoReader(recording)
        return Panorama(recording, frames.stream, row.start, max(frames.height, row.height))

    def to_show(self, key: str) -> Panorama:
        """Video of the highest resolution that exists, for previews."""
        there = self.frames == ORIGINAL and self._recordings.find(self._rows[key]) is not None
        return self[key] if there else self._proxy(self._rows[key])

    def _proxy(self, row: Row) -> Panorama:
        return Panorama(self._folder / row.video, 0, row.start, row.height)


def lost_recordings(manifest: Manifest) -> int:
    """Number of a manifest's clips whose original recording is missing."""
    recordings = Recordings(manifest.root)
    return sum(recordings.find(row) is None for row in manifest)


class Recordings:
    """The recordings that the clips of a folder were prepared from, by the journal of `avssl prepare`.

    Args:
        folder: of the manifest.

    Raises:
        InputError: the journal is no regular file, or too large.
    """

    def __init__(self, folder: Path) -> None:
        settings, entries = read_journal(folder / ENTRIES, _facts)
        root = (settings or {}).get("root")
        self._root = Path(root) if isinstance(root, str) and Path(root).is_dir() else None
        self._facts = {key: entry["facts"] for key, entry in entries.items()}

    def find(self, row: Row) -> Path | None:
        """The recording of a clip, at the path that the row names, which may begin above the root; None if it is gone.

        Other recordings may lie at an end part of the path: name and size must be those of the journal. Of several, the
        time of change decides; a single one may have another, since copies do.
        """
        found = list(_candidates(self._root, row.source)) if self._root else []
        exact: list[Path] = []
        if row.key in self._facts:
            name, size, changed = self._facts[row.key]
            found = [path for path in found if (printable(path.name), path.stat().st_size) == (name, size)]
            exact = [path for path in found if path.stat().st_mtime_ns == changed]
        return next(iter(exact or (found if len(found) == 1 else ())), None)


def _facts(entry: Entry) -> Entry:
    """Name, size and time of change of an entry's video."""
    name, size, changed = entry["source"][0]
    return {"key": str(entry["key"]), "facts": (name, size, changed)}


def _candidates(root: Path, source: str) -> Iterator[Path]:
    """Files below a root whose paths are end parts of a path, longest first."""
    parts = PurePosixPath(source).parts
    for first in range(len(parts)):
        tail = "/".join(parts[first:])
        if not leads_out(tail) and is_regular(path := _printed_as(root, parts[first:])):
            yield path


def _printed_as(root: Path, parts: Sequence[str]) -> Path:
    """The path below a root whose parts are printed so: names that are not UTF-8 are kept in a printable form."""
    path = root
    for part in parts:
        if not (path / part).exists() and "\\" in part and path.is_dir():
            path = next((each for each in path.iterdir() if printable(each.name) == part), path / part)
        else:
            path /= part
    return path
