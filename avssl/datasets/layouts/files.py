"""Any folder of clips, walked once: audio inside the video file, or in a file of the same stem beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from avssl.datasets.layouts.recording import Listing, Recording, listing, safe_key
from avssl.errors import InputError

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


def walk(root: Path, leave_out: Path | None = None) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder once, even where links lead back to it, with its visible folders and files by name, in order.

    Args:
        root: where to look, linked folders included.
        leave_out: a folder not to look into, if any.

    Yields:
        A folder, the names of its folders, and of its files; folders removed from their list are not looked into.
    """
    seen: set[tuple[int, int]] = set()
    skipped = leave_out and leave_out.resolve()
    for name, below, names in os.walk(root, followlinks=True):
        folder = Path(name)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or folder.resolve() == skipped:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(each for each in below if not each.startswith("."))
        yield folder, below, sorted(each for each in names if not each.startswith("."))


def find(root: Path, leave_out: Path) -> Listing:
    """Every clip under a folder, subfolders and linked folders included, hidden files and folders not.

    A sound file of the same stem beside a picture takes the place of the picture file's own sound; two of them are
    a problem, not a choice.

    Args:
        root: where to look.
        leave_out: a folder not to look into, such as where the proxies go.

    Raises:
        InputError: no file there looks like a picture.
    """
    found = [_recording(root, path, beside) for path, beside in _frames(root, leave_out)]
    if not found:
        raise InputError(
            f"{root}: expected 360-degree clips or ordinary ones (.mp4, .webm, .mkv, .mov, ...), found none"
        )
    return listing(root, found)


def _recording(root: Path, video: Path, beside: list[Path]) -> Recording:
    problem = ""
    if len(beside) > 1:
        names = ", ".join(path.name for path in beside)
        problem = f"expected one sound file beside the picture, found {len(beside)}: {names}"
    return Recording(
        key=safe_key(video.relative_to(root).with_suffix("")),
        video=video,
        audio=beside[0] if beside else video,
        problem=problem,
    )


def _frames(root: Path, leave_out: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each picture file with the sound files of its stem."""
    for folder, _, names in walk(root, leave_out):
        audio_files: dict[str, list[Path]] = {}
        for path in (folder / name for name in names):
            if path.suffix.lower() in AUDIO_SUFFIXES:
                audio_files.setdefault(path.stem, []).append(path)
        for path in (folder / name for name in names):
            if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
                yield path, audio_files.get(path.stem, [])
