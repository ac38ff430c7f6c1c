"""Segments of a film in which one source sounds: class, start, end, and boxes on key frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avssl.errors import InputError, excerpt
from avssl.plugins import hint

KEYS = ("id", "label", "start", "end", "boxes", "suggested", "instance", "audio")
MAX_TEXT = 200
"""Characters of a label or an identifier."""
MAX_BOXES = 100_000
"""Key frames of a segment."""


@dataclass(frozen=True)
class KeyFrame:
    """A box that a person drew, or a detector found."""

    time: float
    """Seconds from the film's beginning."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in 0..1 of the frame as players show it."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in files."""
        return {"time": self.time, "box": list(self.box)}


@dataclass(frozen=True)
class Segment:
    """One segment of a film with one sounding source."""

    id: str
    """Unique in its film."""
    label: str
    """Class of the source; empty until it is named."""
    start: float
    """Seconds from the film's beginning."""
    end: float
    """Seconds, above start."""
    boxes: tuple[KeyFrame, ...] = ()
    """In the order of time."""
    suggested: bool = False
    """Whether it comes from a detector and no person has confirmed it."""
    instance: str = ""
    """Label of a segmenter where it differs; see `avssl.synth.user_clips.annotations`."""
    audio: str = ""
    """Sound file of the source, relative to the folder; empty: the film's own."""

    def box_at(self, time: float) -> NDArray[np.float64] | None:
        """Edges at an instant: linear between key frames, at rest before the first and after the last; None: no box."""
        if not self.boxes:
            return None
        times = [frame.time for frame in self.boxes]
        return np.array(
            [np.interp(time, times, edge) for edge in zip(*(frame.box for frame in self.boxes), strict=True)]
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in files and messages; optional keys are left out where they are empty."""
        found = {"id": self.id, "label": self.label, "start": self.start, "end": self.end}
        optional = {"suggested": self.suggested, "instance": self.instance, "audio": self.audio}
        boxes = [frame.to_json() for frame in self.boxes]
        return found | {"boxes": boxes} | {key: value for key, value in optional.items() if value}


def parse_segment(values: Any, where: str) -> Segment:
    """A segment of a file or of a page's message, checked.

    Args:
        values: what JSON holds.
        where: file and row, for the error.

    Raises:
        InputError: it is not as `Segment.to_json` gives it.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected an object with id, label, start, end, got {excerpt(values, 40)}")
    for key in values:
        if key not in KEYS:
            raise InputError(f"{where}: expected the keys {', '.join(KEYS)}, got {excerpt(key, 40)}{hint(key, KEYS)}")
    start, end = _seconds(values, "start", where), _seconds(values, "end", where)
    if end <= start:
        raise InputError(f"{where}: expected 'end' above 'start', got {start:g} to {end:g} s")
    if not isinstance(values.get("suggested", False), bool):
        raise InputError(f"{where}: expected true or false as 'suggested', got {excerpt(values['suggested'], 40)}")
    texts = {key: _text(values, key, where) for key in ("label", "instance", "audio")}
    identifier = _text(values, "id", where)
    if not identifier:
        raise InputError(f"{where}: expected a text as 'id', got none")
    return Segment(identifier, texts.pop("label"), start, end, _key_frames(values, where),
                   values.get("suggested", False), **texts)  # fmt: skip


def _text(values: Mapping[str, Any], key: str, where: str) -> str:
    value = values.get(key, "" if key in ("instance", "audio") else None)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InputError(
            f"{where}: expected a text of {MAX_TEXT} characters at most as {key!r}, got {excerpt(value, 40)}"
        )
    return value


def _seconds(values: Mapping[str, Any], key: str, where: str) -> float:
    value: Any = values.get(key)
    if not is_number(value) or value < 0:
        raise InputError(f"{where}: expected seconds from 0 up as {key!r}, got {excerpt(value, 40)}")
    return float(value)


def _key_frames(values: Mapping[str, Any], where: str) -> tuple[KeyFrame, ...]:
    frames = values.get("boxes", [])
    if not isinstance(frames, list) or len(frames) > MAX_BOXES:
        raise InputError(
            f"{where}: expected a list of at most {MAX_BOXES} key frames as 'boxes', got {excerpt(frames, 40)}"
        )
    found = tuple(_key_frame(frame, f"{where}, key frame {row}") for row, frame in enumerate(frames))
    for row, (one, other) in enumerate(pairwise(found), start=1):
        if other.time <= one.time:
            raise InputError(f"{where}, key frame {row}: expected a time after {one.time:g} s, got {other.time:g} s")
    return found


def _key_frame(frame: Any, where: str) -> KeyFrame:
    if not isinstance(frame, Mapping) or set(frame) != {"time", "box"}:
        raise InputError(f"{where}: expected a 'time' and a 'box', got {excerpt(frame, 60)}")
    box = frame["box"]
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)):
        left, top, right, bottom = map(float, box)
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return KeyFrame(_seconds(frame, "time", where), (left, top, right, bottom))
    raise InputError(f"{where}: expected left, top, right, bottom in 0..1 as 'box', got {excerpt(box, 60)}")


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
