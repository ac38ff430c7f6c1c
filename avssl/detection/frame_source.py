"""Video that objects are detected in: the original recordings, which are larger, or the proxies; one for all clips."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from avssl.datasets.manifest import Manifest, Row
from avssl.datasets.prepare_journal import ENTRIES
from avssl.errors import InputError
from avssl.io.jsonl_journal import read_journal_settings
from avssl.media.video_reader import VideoReader

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
        self._folder, self._root, self.frames = manifest.root, _recordings(manifest.root), frames
        self._rows = {row.key: row for row in manifest}

    def __getitem__(self, key: str) -> Panorama:
        """Video that objects are detected in.

        Raises:
            InputError: the original recording is missing.
        """
        row = self._rows[key]
        if self.frames == PROXY:
            return self._proxy(row)
        recording = _recording(row, self._root)
        if recording is None:
            raise InputError(
                f"{row.source}: expected the original recording of clip {key!r} (frames is original), got none; bring "
                "it back, or delete the file of objects and detect with frames=proxy"
            )
        frames = VideoReader(recording)
        return Panorama(recording, frames.stream, row.start, max(frames.height, row.height))

    def to_show(self, key: str) -> Panorama:
        """Video of the highest resolution that exists, for previews."""
        there = self.frames == ORIGINAL and _recording(self._rows[key], self._root) is not None
        return self[key] if there else self._proxy(self._rows[key])

    def _proxy(self, row: Row) -> Panorama:
        return Panorama(self._folder / row.video, 0, row.start, row.height)


def lost_recordings(manifest: Manifest) -> int:
    """Number of a manifest's clips whose original recording is missing."""
    root = _recordings(manifest.root)
    return sum(_recording(row, root) is None for row in manifest)


def _recordings(folder: Path) -> Path | None:
    """Input folder of `avssl prepare` from its settings, if it still exists."""
    try:
        root = Path((read_journal_settings(folder / ENTRIES) or {})["root"])
    except (KeyError, TypeError, ValueError):
        return None
    return root if root.is_dir() else None


def _recording(row: Row, root: Path | None) -> Path | None:
    """The file under a root that a row names as its source, by a path that may begin elsewhere."""
    if root is None:
        return None
    parts = Path(row.source).parts
    tails = (root.joinpath(*parts[first:]) for first in range(len(parts)))
    return next((path for path in tails if path.is_file() and path.is_relative_to(root)), None)
