"""Files of annotations: `FOLDER/annotations/ANNOTATOR.json`, one an annotator.

    {"format": "avssl-annotations", "version": 1, "generation": 3, "films": {
      "street/dog.mp4": {"done": true, "segments": [
        {"id": "5f2c", "label": "dog", "start": 2.0, "end": 8.5,
         "boxes": [{"time": 2.0, "box": [0.10, 0.25, 0.40, 0.90]}]}]}}}

Films are named by their paths below the folder. The file may be edited by hand while no server runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avssl.annotation.film_segments import Segment, parse_segment
from avssl.errors import InputError, excerpt
from avssl.io.atomic import durably_replacing
from avssl.regular_files import MIB, read_json

FORMAT, VERSION = "avssl-annotations", 1
FOLDER = "annotations"
"""Folder of the files, in the folder of the films."""
MAX_FILE = 256 * MIB
ANNOTATOR = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
JOURNAL = ".journal.jsonl"


@dataclass
class FilmAnnotations:
    """Annotations of one film."""

    done: bool = False
    """Whether the annotator has finished it."""
    segments: dict[str, Segment] = field(default_factory=dict)
    """By identifier."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file, segments in the order of time."""
        ordered = sorted(self.segments.values(), key=lambda each: (each.start, each.end, each.id))
        return {"done": self.done, "segments": [each.to_json() for each in ordered]}


Films = dict[str, FilmAnnotations]


def annotation_path(folder: Path, annotator: str) -> Path:
    """The file of an annotator.

    Raises:
        InputError: the name is none that a file can have everywhere.
    """
    if not ANNOTATOR.fullmatch(annotator) or annotator.endswith((".json", JOURNAL)):
        raise InputError(
            f"--annotator: expected letters, digits, '_', '-' and '.', 64 at most, got {excerpt(annotator, 80)!r}"
        )
    return folder / FOLDER / f"{annotator}.json"


def annotators(folder: Path) -> list[str]:
    """Names of those who have annotated a folder, in order; with a journal alone too."""
    names = {path.name.removesuffix(JOURNAL) for path in (folder / FOLDER).glob(f"*{JOURNAL}")}
    names |= {path.stem for path in (folder / FOLDER).glob("*.json")}
    return sorted(name for name in names if ANNOTATOR.fullmatch(name))


def read_annotation_file(path: Path) -> tuple[Films, int]:
    """Films of a file and its generation; none and 0 where there is no file.

    Raises:
        InputError: it is broken, in one line with film and segment.
        OSError: it cannot be read.
    """
    if not path.exists():
        return {}, 0
    note = read_json(path, "annotations in JSON", MAX_FILE)
    if not isinstance(note, dict) or (note.get("format"), note.get("version")) != (FORMAT, VERSION):
        raise InputError(
            f"{path}: expected annotations of avssl (format {FORMAT!r}, version {VERSION}), got another file"
        )
    films, generation = note.get("films"), note.get("generation", 0)
    if not isinstance(films, dict):
        raise InputError(f"{path}: expected an object of films under 'films', got {excerpt(films, 40)}")
    if not isinstance(generation, int) or isinstance(generation, bool) or generation < 0:
        raise InputError(f"{path}: expected a number from 0 up as 'generation', got {excerpt(generation, 40)}")
    return {name: _film(values, f"{path}: film {excerpt(name, 80)!r}") for name, values in films.items()}, generation


def write_annotation_file(path: Path, films: Films, generation: int) -> None:
    """Write a file atomically; it is on the disk on return.

    Raises:
        OutputError: it cannot be written; an earlier one is left as it is.
    """
    note = {name: film.to_json() for name, film in sorted(films.items()) if film.segments or film.done}
    text = json.dumps({"format": FORMAT, "version": VERSION, "generation": generation, "films": note}, indent=1)
    with durably_replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def _film(values: Any, where: str) -> FilmAnnotations:
    if not isinstance(values, Mapping) or not set(values) <= {"done", "segments"}:
        raise InputError(f"{where}: expected an object of 'done' and 'segments', got {excerpt(values, 60)}")
    done, segments = values.get("done", False), values.get("segments", [])
    if not isinstance(done, bool):
        raise InputError(f"{where}: expected true or false as 'done', got {excerpt(done, 40)}")
    if not isinstance(segments, list):
        raise InputError(f"{where}: expected a list as 'segments', got {excerpt(segments, 40)}")
    found: dict[str, Segment] = {}
    for row, each in enumerate(segments):
        segment = parse_segment(each, f"{where}, segment {row}")
        if segment.id in found:
            raise InputError(
                f"{where}, segment {row}: expected an 'id' of its own, got {excerpt(segment.id, 40)} again"
            )
        found[segment.id] = segment
    return FilmAnnotations(done, found)
