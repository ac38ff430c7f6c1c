"""Annotations and the sources of `avssl synth --sources`: export, and import of what a detector found."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avssl.annotation.annotation_file import FOLDER, Films
from avssl.annotation.edits import Change
from avssl.annotation.film_segments import KeyFrame, Segment
from avssl.annotation.object_sources import object_sources
from avssl.errors import InputError, excerpt
from avssl.io.atomic import durably_replacing
from avssl.synth.user_clips.annotations import FORMAT, VERSION, WHOLE, Annotation, read_annotations

SHORTEST = 0.01
"""Seconds of a segment at least, where a source begins at the film's end."""


def export_sources(folder: Path, films: Films, out: Path, *, only_done: bool = False) -> int:
    """Write the segments of all films as an annotation file of sources; returns their number.

    Suggestions that no person has confirmed are left out.

    Args:
        folder: of the films.
        films: annotations.
        out: the JSON file; paths in it are relative to its folder.
        only_done: leave out films that are not marked as done.

    Raises:
        InputError: no segment, or one without a class, with its film and start.
        OutputError: it cannot be written.
    """
    chosen = {name: film for name, film in films.items() if film.done or not only_done}
    entries = [
        _entry(folder, name, segment, out)
        for name, film in sorted(chosen.items())
        for segment in sorted(film.segments.values(), key=lambda each: (each.start, each.id))
        if not segment.suggested
    ]
    if not entries:
        raise InputError(f"{folder / FOLDER}: expected segments to export, got none; confirm suggestions or mark some")
    text = json.dumps({"format": FORMAT, "version": VERSION, "sources": entries}, indent=1)
    with durably_replacing(out) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return len(entries)


def suggestions(folder: Path, sources: Path, films: Films, seconds: Mapping[str, float]) -> tuple[list[Change], int]:
    """Edits that add the sources of a file as suggestions, and the number of sources of films outside the folder.

    A source that was imported before and is still there, confirmed and moved or not, is not added again.

    Args:
        folder: of the films.
        sources: what `avssl detect` wrote: an annotation file of flat films, or of any other origin, as `avssl synth
            --sources` reads; or objects of 360-degree clips (`objects-MODEL.parquet`), see `object_sources`.
        films: annotations so far.
        seconds: film -> its length, the end of sources without one.

    Raises:
        InputError: it is no such file, or no film of it lies in the folder.
    """
    if sources.is_dir():
        raise InputError(f"{sources}: expected an annotation file of sources (JSON), got a folder")
    found = _read(sources, {name: folder / name for name in seconds})
    changes: dict[str, dict[str, Segment | None]] = {}
    outside = 0
    for each in found:
        name = _below(each.video, folder)
        if name not in seconds:
            outside += 1
            continue
        segment = _suggestion(each, folder, seconds[name])
        if name not in films or segment.id not in films[name].segments:
            changes.setdefault(name, {})[segment.id] = segment
    if outside == len(found):
        got = excerpt(found[0].video, 200) if found else "no object that was detected twice in a row"
        raise InputError(f"{sources}: expected sources of films in {folder}, got {got}")
    return [Change(name, segments) for name, segments in sorted(changes.items())], outside


def _read(sources: Path, films: Mapping[str, Path]) -> list[Annotation]:
    return object_sources(sources, films) if sources.suffix == ".parquet" else read_annotations(sources)


def _entry(folder: Path, film: str, segment: Segment, out: Path) -> dict[str, Any]:
    if not segment.label:
        raise InputError(
            f"{folder / film}: expected a class of the segment from {segment.start:g} to {segment.end:g} s, got none; "
            "name it, or delete it"
        )
    entry: dict[str, Any] = {"video": _relative(folder / film, out), "label": segment.label}
    entry |= {"audio": _relative(folder / segment.audio, out)} if segment.audio else {}
    entry |= {"instance": segment.instance} if segment.instance else {}
    boxes = [frame.to_json() for frame in segment.boxes]
    return entry | {"start": segment.start, "end": segment.end} | ({"boxes": boxes} if boxes else {})


def _relative(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path.absolute(), out.absolute().parent)).as_posix()


def _suggestion(source: Annotation, folder: Path, seconds: float) -> Segment:
    """A segment with an identifier of its content, so that a second import finds it."""
    end = max(min(source.end, seconds), source.start + SHORTEST)
    frames = zip(source.times, source.boxes, strict=True)
    boxes = tuple(KeyFrame(time, (box[0], box[1], box[2], box[3])) for time, box in frames)
    audio = "" if source.audio == source.video else _relative(source.audio, folder / "file")
    said = repr((source.label, source.start, end, boxes or WHOLE))
    identifier = hashlib.sha256(said.encode()).hexdigest()[:16]
    return Segment(identifier, source.label, source.start, end, boxes, True, source.instance, audio)


def _below(path: Path, folder: Path) -> str:
    """A film's name in the folder; empty outside it."""
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""
