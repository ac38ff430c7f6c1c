"""Any folder of clips, walked once: audio inside the video file, or in a file of the same stem beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from avssl.datasets.dataset import Dataset, Recording
from avssl.datasets.layout import Layout
from avssl.datasets.recording_keys import safe_key, unique_keys
from avssl.errors import InputError
from avssl.stores.remote_store import list_objects
from avssl.stores.virtual_paths import is_address

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4v",
        ".webm",
        ".mkv",
        ".mov",
        ".avi",
        ".mts",
        ".m2ts",
        ".ts",
        ".ogv",
        ".flv",
        ".wmv",
        ".3gp",
        ".mpg",
        ".mpeg",
        ".insv",
        ".360",
    )
)
AUDIO_SUFFIXES = frozenset(
    (
        ".wav",
        ".wave",
        ".flac",
        ".caf",
        ".m4a",
        ".aac",
        ".ogg",
        ".oga",
        ".opus",
        ".mka",
        ".weba",
        ".w64",
        ".rf64",
        ".aif",
        ".aiff",
        ".amb",
        ".wv",
        ".mp3",
        ".ac3",
        ".eac3",
    )
)


class Files(Layout):
    """Any folder of video files, 360-degree or ordinary; audio inside, or beside in a file of that stem.

    Every video file under a folder, subfolders and linked folders included, hidden files and folders not.

    An audio file of the same stem beside a video replaces the video's own audio track; two of them are a problem of
    the recording, not a choice.
    """

    def read(self, root: Path, exclude: Path | None = None) -> Dataset:
        """Find the video files, by their suffix, and the audio files beside them.

        Args:
            root: the folder.
            exclude: folder that is not searched, such as the output of `prepare`.

        Raises:
            InputError: no video file.
        """
        found = [_recording(root, path, beside) for path, beside in _videos(root, exclude)]
        if not found:
            raise InputError(
                f"{root}: expected 360-degree clips or ordinary ones (.mp4, .webm, .mkv, .mov, ...), found none"
            )
        return Dataset(root.resolve().name, root, unique_keys(found))


def walk(root: Path, exclude: Path | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder once, even where links lead back to it, with its visible folders and files by name, in order.

    Args:
        root: where to look, linked folders included.
        exclude: a folder that is not searched, if any.

    Yields:
        A folder, the names of its folders, and of all else: files, links to nothing, named pipes; folders removed from
        their list are not searched. A folder that cannot be read, and a link to nothing without a suffix, is logged.
    """
    if is_address(root):
        yield from _walk_store(root)
        return
    seen = {_identity(exclude)} if exclude and exclude.is_dir() else set()
    waiting = [root] if root.is_dir() else []
    while waiting:  # no recursion: folders may be nested deeper than calls
        folder = waiting.pop()
        try:
            if (identity := _identity(folder)) in seen:
                continue
            below, names = _visible(folder)
        except OSError as error:
            logger.warning("%s: expected a folder that can be read, left out: %s", folder, error.strerror)
            continue
        seen.add(identity)
        yield folder, below, names
        waiting += [folder / name for name in reversed(below)]


def _walk_store(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `walk`, of a folder of a store, which is listed once: no list of folders can be shortened."""
    folders: dict[Path, list[str]] = {}
    for path in list_objects(root):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            folders.setdefault(path.parent, []).append(path.name)
    for folder in sorted(folders):
        yield folder, [], sorted(folders[folder])


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _visible(folder: Path) -> tuple[list[str], list[str]]:
    """The names of a folder's folders, linked ones included, and of all else, in order; hidden ones are left out."""
    below: list[str] = []
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (below if _is_folder(entry) else names).append(entry.name)
    for name in names:
        path = folder / name
        if not path.suffix and path.is_symlink() and not path.exists():
            logger.warning("%s: expected a folder or file behind this link, left out: there is none", path)
    return sorted(below), sorted(names)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _recording(root: Path, video: Path, beside: list[Path]) -> Recording:
    problem = ""
    if len(beside) > 1:
        names = ", ".join(path.name for path in beside)
        problem = f"expected one audio file beside the video, found {len(beside)}: {names}"
    return Recording(
        key=safe_key(video.relative_to(root).with_suffix("")),
        video=str(video.relative_to(root)),
        audio=str((beside[0] if beside else video).relative_to(root)),
        problem=problem,
    )


def _videos(root: Path, exclude: Path | None) -> Iterator[tuple[Path, list[Path]]]:
    """Each video file with the audio files of its stem."""
    for folder, _, names in walk(root, exclude):
        audio_files: dict[str, list[Path]] = {}
        for path in (folder / name for name in names):
            if path.suffix.lower() in AUDIO_SUFFIXES:
                audio_files.setdefault(path.stem, []).append(path)
        for path in (folder / name for name in names):
            if path.suffix.lower() in VIDEO_SUFFIXES:
                yield path, audio_files.get(path.stem, [])
