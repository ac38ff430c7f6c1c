"""Inspect a file, or every recording of a folder."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.table import Column, Table

from avssl.datasets.layouts.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES, walk
from avssl.errors import InputError, first_line, is_input_error, one_line
from avssl.inspection.examine import RecordingFacts, examine
from avssl.inspection.finding import Finding
from avssl.inspection.seen_objects import FindObjects, objects_text
from avssl.io.progress import track
from avssl.io.tables import table_text
from avssl.printable_text import printable


@dataclass(frozen=True)
class Inspection:
    """Facts about recordings."""

    facts: tuple[RecordingFacts, ...]

    @property
    def wrong(self) -> bool:
        """Whether something would go wrong in training."""
        return any(each.wrong for each in self.facts)

    def text(self) -> str:
        """One recording: its facts, a row each; several: a row a recording, and their findings."""
        tables = [_one(self.facts[0])] if len(self.facts) == 1 else [_many(self.facts)]
        findings = _findings(self.facts)
        return "\n".join(map(table_text, [*tables, findings] if findings.row_count else tables))

    def json(self) -> str:
        """All facts as JSON; unknown numbers are null."""
        found = [_plain(each) for each in self.facts]
        return json.dumps({"wrong": self.wrong, "recordings": found}, indent=1, allow_nan=False) + "\n"


def inspect_media(source: Path, *, find_objects: FindObjects | None = None, progress: bool = True) -> Inspection:
    """Facts about a file or about all recordings below a folder; a file that cannot be read is a finding.

    Args:
        source: video or audio file, or a folder; an audio file of the stem of a video beside it is its audio.
        find_objects: objects of 360-degree films, see `examine`.
        progress: show a bar.

    Raises:
        InputError: no such file, a folder without recordings, or one file that is no recording.
    """
    if not source.exists():
        raise InputError(f"{source}: expected a recording or a folder of them, there is none")
    torch.set_num_threads(min(2, torch.get_num_threads()))
    if not source.is_dir():
        return Inspection((examine(source, _beside(source), find_objects),))
    found = list(_recordings(source))
    if not found:
        raise InputError(f"{source}: expected recordings (.mp4, .webm, .wav, ...), found none")
    shown = track(found, "inspect", "recordings", shown=progress)
    return Inspection(tuple(_examined(*each, find_objects) for each in shown))


def _recordings(folder: Path) -> Iterator[tuple[Path, Path | None]]:
    """Videos with the audio beside them, and audio files alone."""
    for below, _, names in walk(folder):
        suffixes = {name: Path(name).suffix.lower() for name in names}
        videos = [name for name in names if suffixes[name] in VIDEO_SUFFIXES]
        stems = {Path(name).stem for name in videos}
        for name in names:
            if name in videos:
                yield below / name, _beside(below / name)
            elif suffixes[name] in AUDIO_SUFFIXES and Path(name).stem not in stems:
                yield below / name, None


def _beside(video: Path) -> Path | None:
    """Audio file of the stem of a video; None if there is none or more than one."""
    if video.suffix.lower() not in VIDEO_SUFFIXES:
        return None
    found = [each for each in video.parent.glob(f"{_literal(video.stem)}.*") if each.suffix.lower() in AUDIO_SUFFIXES]
    return found[0] if len(found) == 1 else None


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def _examined(path: Path, audio: Path | None, find_objects: FindObjects | None) -> RecordingFacts:
    """Facts, without images; of a file that cannot be read its error."""
    try:
        return replace(examine(path, audio, find_objects), frames=())
    except Exception as error:  # any decoder error is a finding of this file
        reason = one_line(error) if is_input_error(error) else first_line(error)
        return RecordingFacts(path, audio or path, None, None, (), math.nan, (), (Finding(reason),))


def _one(facts: RecordingFacts) -> Table:
    table = Table("inspected", Column(escape(printable(facts.path)), overflow="fold"))
    for name, value in rows(facts):
        table.add_row(name, escape(printable(value)))
    return table


def rows(facts: RecordingFacts) -> Iterator[tuple[str, str]]:
    """Names and values of the facts about one recording, for a table or a page."""
    if (sound := facts.sound) is not None:
        yield "audio", f"{sound.channels}-channel {sound.codec}, {sound.sample_rate} Hz, {sound.seconds:.1f} s"
        yield "layout", f"{sound.layout or 'none'} (declared: {sound.declared or 'nothing'})"
        yield "evidence", "; ".join(sound.evidence)
        yield "order", str(sound.order) if sound.order else "not ambisonic"
        yield "silent channels", ", ".join(map(str, sound.silent_channels)) or "none"
        yield "level", f"{sound.level_db:.0f} dB of full scale, peak {sound.peak:.2f}"
        if sound.direction is not None:
            yield "direction of sound", _direction(facts)
    if (picture := facts.picture) is not None:
        size = (
            f"{picture.width}x{picture.height}, {picture.codec}, {picture.frame_rate:.4g} Hz, {picture.seconds:.1f} s"
        )
        yield "video", size
        yield "projection", f"{picture.recognised or 'undecided'} (declared: {picture.declared or 'nothing'})"
        yield "its evidence", "; ".join(picture.evidence)
        yield "rotation", picture.rotation or "none"
        if facts.motion:
            yield (
                "sound to motion",
                "unknown"
                if math.isnan(facts.agreement)
                else (f"{facts.agreement:.0f} degrees apart on median (90: unrelated)"),
            )
        if facts.objects is not None:
            yield "objects", objects_text(facts.objects, facts.nearest_object, facts.nearest_by_chance)
        yield "for players", "; ".join(facts.players) or "none"


def _direction(facts: RecordingFacts) -> str:
    assert facts.sound is not None
    found = facts.sound.direction
    if found is None or math.isnan(found.azimuth):
        return "none"
    return f"azimuth {found.azimuth:.0f}, elevation {found.elevation:.0f} degrees, diffuseness {found.diffuseness:.2f}"


def _many(found: Sequence[RecordingFacts]) -> Table:
    headings = ("layout", "silent", "dB", "azimuth", "elevation", "declared", "recognised", "verdict")
    table = Table(Column("recording", overflow="fold"), *headings)
    for facts in found:
        sound, picture = facts.sound, facts.picture
        where = sound.direction if sound else None
        table.add_row(
            escape(printable(facts.path.name)),
            (sound.layout or f"{sound.channels} channels") if sound else "",
            "".join(map(str, sound.silent_channels)) if sound else "",
            f"{sound.level_db:.0f}" if sound else "",
            f"{where.azimuth:.0f}" if where else "",
            f"{where.elevation:.0f}" if where else "",
            picture.declared if picture else "",
            picture.recognised if picture else "",
            "wrong" if facts.wrong else "right",
        )
    return table


def _findings(found: Sequence[RecordingFacts]) -> Table:
    table = Table(Column("recording", overflow="fold"), "kind", Column("finding", overflow="fold"))
    for facts in found:
        for each in facts.findings:
            kind = "wrong" if each.wrong else "note"
            table.add_row(escape(printable(facts.path.name)), kind, escape(printable(each.line())))
    return table


def _plain(facts: RecordingFacts) -> dict[str, Any]:
    found = asdict(replace(facts, frames=()))
    found.pop("frames")
    finite: dict[str, Any] = _finite(found | {"wrong": facts.wrong})
    return finite


def _finite(value: Any) -> Any:
    """The same without NaN, infinity and paths, for JSON."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return printable(value) if isinstance(value, Path) else value
