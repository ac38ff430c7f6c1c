"""Annotations of user clips: segments with one visible, active source, and its boxes in the frames.

A JSON file:

    {"format": "avssl-sources", "version": 1, "sources": [
      {"video": "dog.mp4", "label": "dog", "start": 2.0, "end": 8.5, "audio": "dog.wav", "instance": "dog",
       "boxes": [{"time": 2.0, "box": [0.10, 0.25, 0.40, 0.90]}, {"time": 8.5, "box": [0.55, 0.25, 0.85, 0.90]}]}]}

Each entry is one segment of one video, and one video may have several. Of an entry, `video` and `label` must be there:

- `video`, `audio`: paths, relative to the JSON file; without `audio` it is the video's own.
- `label`: the kind of the source; scenes tell by it what is alike.
- `start`, `end`: seconds from the video's beginning; without them all of it.
- `boxes`: key frames in the order of time, each a `time` as above and left, top, right, bottom in 0..1 of the picture
  as players show it, turned by its header.
  Between two key frames the edges move on straight lines; before the first and after the last the box stands still.
  Without boxes it is the whole picture.
- `instance`: what a segmenter calls the source, where it knows other labels; it then looks for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError
from avssl.plugins import hint
from avssl.regular_files import read_json

FORMAT, VERSION = "avssl-sources", 1
VIDEOS = frozenset((".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v"))
"""Suffixes of the files of a folder that are clips."""
_KEYS = ("video", "label", "start", "end", "audio", "instance", "boxes")
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Annotation:
    """One segment of a video with one source."""

    video: Path
    audio: Path
    label: str
    start: float = 0.0
    """Seconds."""
    end: float = math.inf
    """Seconds; infinite: to the end of the video."""
    instance: str = ""
    times: tuple[float, ...] = ()
    """Seconds of the key frames."""
    boxes: tuple[tuple[float, ...], ...] = ()
    """Left, top, right, bottom at each, in 0..1 of the picture."""

    def box(self, time: float) -> NDArray[np.float64]:
        """Left, top, right, bottom at an instant."""
        if not self.times:
            return np.array(WHOLE)
        return np.array([np.interp(time, self.times, edge) for edge in zip(*self.boxes, strict=True)])


def read_annotations(path: Path) -> list[Annotation]:
    """The segments that an annotation file names, or a folder of clips.

    Args:
        path: the JSON file; or a folder whose folders are called as what is in their videos, `LABEL/clip.mp4`; or a
            folder of videos that are called as what is in them.

    Raises:
        InputError: it says something else than it should, or names files that are not there.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    note: Any = read_json(path, "an annotation file in JSON, or a folder of clips")
    if not isinstance(note, dict) or (note.get("format"), note.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: expected sources of avssl (format {FORMAT!r}, version {VERSION}); it is not that")
    entries = note.get("sources")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected a list of at least one source under 'sources'")
    return [_annotation(Entry(path, number, entry)) for number, entry in enumerate(entries)]


class Entry:
    """An entry of the file, checked as it is read; every error names file and entry.

    Args:
        path: of the file.
        number: of the entry, from 0.
        values: what it holds.

    Raises:
        InputError: it is no object, or has keys that mean nothing.
    """

    def __init__(self, path: Path, number: int, values: Any) -> None:
        self.path, self.number = path, number
        if not isinstance(values, dict):
            raise self.wrong(f"is an object, not {values!r:.40}")
        self.values: Mapping[str, Any] = values
        for key in values:
            if key not in _KEYS:
                raise self.wrong(f"has no {key!r}{hint(key, _KEYS)}; it has {', '.join(_KEYS)}")

    def wrong(self, what: str) -> InputError:
        """An error about this entry."""
        return InputError(f"{self.path}: source {self.number} {what}")

    def text(self, key: str, default: str | None = None) -> str:
        """A text, which is not empty."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            raise self.wrong(f"wants a text {key!r}, it has {value!r:.40}")
        return value

    def number_of(self, key: str, default: float) -> float:
        """Seconds, not negative."""
        value = self.values.get(key, default)
        if not _is_number(value) or ((value < 0 or math.isinf(value)) and value != default):
            raise self.wrong(f"wants seconds as {key!r}, a number from 0 up, it has {value!r:.40}")
        return float(value)

    def file(self, key: str, default: Path | None = None) -> Path:
        """A file that is there, relative to the annotation file."""
        if default is not None and key not in self.values:
            return default
        found = self.path.parent / self.text(key)
        if not found.is_file():
            raise self.wrong(f"names a {key} file that is not there: {found}")
        return found


def _annotation(entry: Entry) -> Annotation:
    video = entry.file("video")
    start, end = entry.number_of("start", 0.0), entry.number_of("end", math.inf)
    if end <= start:
        raise entry.wrong(f"ends after it starts, this goes from {start} to {end} s")
    times, boxes = _key_frames(entry)
    return Annotation(
        video, entry.file("audio", video), entry.text("label"), start, end, entry.text("instance", ""), times, boxes
    )


def _key_frames(entry: Entry) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...]]:
    found: list[tuple[float, tuple[float, ...]]] = []
    frames = entry.values.get("boxes", [])
    if not isinstance(frames, list):
        raise entry.wrong(f"wants a list of key frames as 'boxes', it has {frames!r:.40}")
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or set(frame) != {"time", "box"}:
            raise entry.wrong(f"wants a 'time' and a 'box' as key frame {number}, it has {frame!r:.60}")
        if not _is_number(frame["time"]) or not 0 <= frame["time"] < math.inf:
            raise entry.wrong(f"wants the seconds of key frame {number} as 'time', it has {frame['time']!r:.40}")
        if found and frame["time"] <= found[-1][0]:
            raise entry.wrong(f"has key frames in the order of time, {frame['time']} s comes after {found[-1][0]} s")
        found.append((float(frame["time"]), _box(entry, number, frame["box"])))
    return tuple(time for time, _ in found), tuple(box for _, box in found)


def _box(entry: Entry, number: int, box: Any) -> tuple[float, ...]:
    if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)):
        left, top, right, bottom = box
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return tuple(map(float, box))
    raise entry.wrong(f"wants left, top, right, bottom in 0..1 as the box of key frame {number}, it has {box!r:.60}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _folder(path: Path) -> list[Annotation]:
    """Clips of folders by the names of these; where there are no such folders, clips by their own names."""
    files = _clips(path.glob("*/*"))
    if files:
        return [Annotation(each, each, each.parent.name) for each in files]
    if not (files := _clips(path.glob("*"))):
        raise InputError(f"{path}: expected clips as LABEL/clip.mp4 ({', '.join(sorted(VIDEOS))}), found none")
    return [Annotation(each, each, each.stem) for each in files]


def _clips(paths: Iterable[Path]) -> list[Path]:
    return sorted(each for each in paths if each.suffix.lower() in VIDEOS and not each.name.startswith("."))
