"""Where the pictures of 360-degree clips are largest: the recordings, while they are there, else the proxies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from avssl.datasets.manifest import Manifest, Row
from avssl.datasets.prepare_journal import SETTINGS
from avssl.errors import InputError
from avssl.media.streams import VideoReader


class Panorama(NamedTuple):
    """Equirectangular pictures of a clip."""

    path: Path
    """The video."""
    stream: int
    """Which of its picture streams."""
    start: float
    """Seconds from the file's beginning to the clip's."""
    rows: int
    """Pixels; columns are twice as many once a stored 16:9 world is drawn apart."""


class Panoramas:
    """The pictures of a manifest's clips, by key; files are opened when they are asked for.

    Args:
        manifest: the clips.

    Raises:
        InputError: a clip's pictures are no panoramas.
    """

    def __init__(self, manifest: Manifest) -> None:
        flat = next((row for row in manifest if row.width != 2 * row.height), None)
        if flat is not None:
            raise InputError(
                f"{manifest.root}: objects are looked for in 360-degree pictures (2:1), clip {flat.key!r} is "
                f"{flat.width}x{flat.height}"
            )
        self._folder, self._recordings = manifest.root, _recordings(manifest.root)
        self._rows = {row.key: row for row in manifest}

    def __getitem__(self, key: str) -> Panorama:
        row = self._rows[key]
        recording = _recording(row, self._recordings) if self._recordings else None
        if recording is None:
            return Panorama(self._folder / row.video, 0, row.start, row.height)
        frames = VideoReader(recording)
        return Panorama(recording, frames.stream, row.start, max(frames.height, row.height))


def _recordings(folder: Path) -> Path | None:
    """The folder that `avssl prepare` read, as its settings have it, if it is still there."""
    try:
        root = Path(json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return root if root.is_dir() else None


def _recording(row: Row, root: Path) -> Path | None:
    """The file under a root that a row names as its source, by a path that may begin elsewhere."""
    parts = Path(row.source).parts
    tails = (root.joinpath(*parts[first:]) for first in range(len(parts)))
    return next((path for path in tails if path.is_file() and path.is_relative_to(root)), None)
