"""Edits of annotations: what changes in a film, checked against what the annotator saw, and its inverse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avssl.annotation.annotation_file import FilmAnnotations, Films
from avssl.annotation.film_segments import Segment, parse_segment
from avssl.errors import InputError, excerpt

MAX_CHANGES = 10_000
"""Segments of one edit."""


class StaleEditError(ValueError):
    """Another page has changed a segment since this one saw it; the edit was not applied."""


@dataclass(frozen=True)
class Change:
    """New values in one film."""

    film: str
    segments: Mapping[str, Segment | None] = field(default_factory=dict)
    """Identifier -> new segment; None removes it."""
    done: bool | None = None
    """New state of the film; None leaves it."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in journals and messages."""
        segments = {key: each and each.to_json() for key, each in self.segments.items()}
        return {"film": self.film, "segments": segments} | ({} if self.done is None else {"done": self.done})

    def apply(self, films: Films) -> Change:
        """Apply it; returns the change that takes it back."""
        film = films.setdefault(self.film, FilmAnnotations())
        before = {key: film.segments.get(key) for key in self.segments}
        was_done = None if self.done is None else film.done
        for key, segment in self.segments.items():
            if segment is None:
                film.segments.pop(key, None)
            else:
                film.segments[key] = segment
        film.done = film.done if self.done is None else self.done
        return Change(self.film, before, was_done)

    def holds(self, films: Films) -> bool:
        """Whether a film has these values already."""
        film = films.get(self.film, FilmAnnotations())
        same = all(film.segments.get(key) == segment for key, segment in self.segments.items())
        return same and self.done in (None, film.done)


def parse_change(values: Any, where: str) -> Change:
    """A change of a journal or a message, checked.

    Args:
        values: what JSON holds: film, segments, and done if it changes.
        where: for the error.

    Raises:
        InputError: it is no change.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("film"), str):
        raise InputError(f"{where}: expected an edit with 'film' and 'segments', got {excerpt(values, 60)}")
    segments, done = values.get("segments", {}), values.get("done")
    if not isinstance(segments, Mapping) or len(segments) > MAX_CHANGES:
        raise InputError(f"{where}: expected an object of segments by 'id', got {excerpt(segments, 60)}")
    if not isinstance(done, bool | None):
        raise InputError(f"{where}: expected true or false as 'done', got {excerpt(done, 40)}")
    found = {key: _segment(key, each, where) for key, each in segments.items()}
    return Change(values["film"], found, done)


def _segment(key: str, values: Any, where: str) -> Segment | None:
    if values is None:
        return None
    segment = parse_segment(values, where)
    if segment.id != key:
        raise InputError(f"{where}: expected segment {excerpt(key, 40)} under its 'id', got {excerpt(segment.id, 40)}")
    return segment
