"""Films of a folder, with their length and sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avssl.annotation.annotation_file import FOLDER
from avssl.datasets.layouts.files import VIDEO_SUFFIXES, walk
from avssl.errors import InputError, MissingFileError, is_input_error, one_line
from avssl.media import probe
from avssl.regular_files import is_regular


@dataclass(frozen=True)
class Film:
    """A film to annotate."""

    name: str
    """Path below the folder."""
    path: Path
    seconds: float = 0.0
    frame_rate: float = 0.0
    """Hz."""
    width: int = 0
    """Pixels."""
    height: int = 0
    channels: int = 0
    """Of its sound; 0: it has none."""
    error: str = ""
    """Why it cannot be read; empty otherwise."""


def find_films(folder: Path) -> list[Path]:
    """Paths of the films below a folder, by name; linked folders included.

    Raises:
        MissingFileError: there is no such folder.
        InputError: there are no films in it.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: expected a folder of films, there is none")
    paths = (place / name for place, _, names in walk(folder, folder / FOLDER) for name in names)
    found = sorted(path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES and is_regular(path))
    if not found:
        raise InputError(f"{folder}: expected films (.mp4, .webm, .mkv, ...) below it, found none")
    return found


def film_of(folder: Path, path: Path) -> Film:
    """Header of a film; one that cannot be read has its error."""
    name = path.relative_to(folder).as_posix()
    try:
        info = probe(path)
        if info.video is None:
            raise InputError(f"{path}: expected a film, got a file without frames")
    except Exception as error:
        if not is_input_error(error):
            raise
        return Film(name, path, error=one_line(error))
    video, channels = info.video, info.audio.channels if info.audio else 0
    seconds = video.seconds or info.seconds
    return Film(name, path, seconds, video.frame_rate, video.width, video.height, channels)
