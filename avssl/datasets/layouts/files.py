"""Any folder of clips: sound inside, or in a file of the same stem beside the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avssl.datasets.layouts.recording import Listing, Recording, listing, safe_key
from avssl.datasets.layouts.walk import walk
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
