"""Study folder: design, copies of all media, checks, and the database of answers; needs nothing outside it."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from avssl.errors import InputError, MissingFileError, OutputError, excerpt
from avssl.io.atomic import naming, write_text
from avssl.io.progress import track
from avssl.media import probe
from avssl.regular_files import is_regular, read_json
from avssl.study.study_spec import QUESTIONS, StudyFilm, StudySpec
from avssl.study.trial_order import CHECK

FORMAT, VERSION = "avssl-study", 1
NAME = "study.json"
MEDIA = "media"
SLACK = 0.5
"""Seconds by which a track may be shorter or longer than its film."""
BURST = 0.4
"""Seconds of a burst of noise of attention checks, and of the silence after it."""
LEVEL = 0.05
"""RMS of bursts, full scale 1."""


@dataclass(frozen=True)
class Track:
    """Sound of a film in one condition."""

    file: str
    """Below the study folder."""
    channel_layout: str


@dataclass(frozen=True)
class Study:
    """A study folder, as it is served."""

    folder: Path
    spec: StudySpec
    """Paths of its films lie in the folder."""
    checks: tuple[Track, ...]
    """Sound of the attention check of each film."""

    @property
    def text(self) -> str:
        """The question on the page."""
        return self.spec.text or QUESTIONS[self.spec.question]

    def track(self, film: int, condition: str) -> tuple[Path, str]:
        """Sound of a film in a condition or check: file and channel layout."""
        if condition == CHECK:
            return self.folder / self.checks[film].file, self.checks[film].channel_layout
        return self.spec.films[film].tracks[condition], self.spec.channel_layout


def make_study(spec: StudySpec, out: Path, *, progress: bool = True) -> Study:
    """Write the folder of a study; it is whole or not there.

    Args:
        spec: the design.
        out: the folder, which is not there, or empty.
        progress: show a progress bar.

    Raises:
        InputError: a film or track cannot be read, or they are not of one length; something is at `out`.
        OutputError: it cannot be written.
    """
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out}: expected a folder that is not there or empty, got something in it; give another one")
    seconds = [_checked(film) for film in spec.films]
    out.parent.mkdir(parents=True, exist_ok=True)
    with naming(out), TemporaryDirectory(prefix=f".{out.name[:60]}.", dir=out.parent) as made:
        part = Path(made) / "study"
        (part / MEDIA).mkdir(parents=True)
        films = []
        for number, film in enumerate(track(spec.films, "copy", "films", shown=progress)):
            films.append(_copied(part, number, film) | {"check": _write_check(part, number, film, seconds[number])})
        write_text(part / NAME, json.dumps(_note(spec, films), indent=1, ensure_ascii=False) + "\n")
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    return read_study(out)


def read_study(folder: Path) -> Study:
    """The study of a folder.

    Raises:
        MissingFileError: there is none.
        InputError: its file is broken, or a copy is missing.
        OSError: it cannot be read.
    """
    path = folder / NAME
    if not is_regular(path):
        raise MissingFileError(
            f"{folder}: expected a study folder with {NAME}, found none; `avssl study make` writes one"
        )
    note = read_json(path, "a study in JSON")
    if not isinstance(note, dict) or (note.get("format"), note.get("version")) != (FORMAT, VERSION):
        raise InputError(f"{path}: expected a study of avssl (format {FORMAT!r}, version {VERSION}), got another file")
    try:
        films = tuple(_film(folder, each) for each in note["films"])
        checks = tuple(
            Track(_inside(folder, each["check"]["file"]), each["check"]["channel_layout"]) for each in note["films"]
        )
        settings = dict(note["settings"])
        settings["pairs"] = tuple((one, other) for one, other in settings["pairs"])
        return Study(folder, StudySpec(films, **settings), checks)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected a study as `avssl study make` writes it: {excerpt(error)}") from error


def check_bursts(seconds: float, rate: int, channels: int) -> NDArray[np.float32]:
    """Sound of an attention check: bursts of noise, each from another side; `(samples, channels)`.

    Args:
        seconds: length.
        rate: Hz.
        channels: 4 or more: ambiX of first order; 2: left or right; 1.
    """
    generator = np.random.default_rng(0)
    times = np.arange(max(1, round(seconds * rate))) / rate
    number = np.floor(times / (2 * BURST)).astype(int)
    noise = np.where(times % (2 * BURST) < BURST, generator.normal(0, LEVEL, len(times)), 0.0)
    azimuth = (number * math.radians(137.5)) % (2 * math.pi)  # the golden angle: no side twice in a row
    if channels >= 4:
        gains = np.stack([np.ones_like(azimuth), np.sin(azimuth), np.zeros_like(azimuth), np.cos(azimuth)], 1)
    elif channels == 2:
        gains = np.stack([number % 2 == 0, number % 2 == 1], 1).astype(float)
    else:
        gains = np.ones((len(times), 1))
    bursts: NDArray[np.float32] = (noise[:, None] * gains).astype(np.float32)
    return bursts


def _checked(film: StudyFilm) -> float:
    """Length of a film, after a look at its tracks."""
    info = probe(film.video)
    if info.video is None:
        raise InputError(f"{film.video}: expected a film, got a file without frames")
    seconds = info.video.seconds or info.seconds
    for condition, path in film.tracks.items():
        audio = probe(path).audio
        if audio is None:
            raise InputError(
                f"{path}: expected the sound track {condition!r} of {film.name!r}, got a file without sound"
            )
        if abs(audio.seconds - seconds) > SLACK:
            raise InputError(
                f"{path}: expected a track as long as its film, {seconds:.2f} s, got {audio.seconds:.2f} s; "
                "cut both to one length"
            )
    return seconds


def _copied(part: Path, number: int, film: StudyFilm) -> dict[str, Any]:
    """Copy a film and its tracks under neutral names."""
    copies: dict[Path, str] = {}
    for path in (film.video, *film.tracks.values()):
        if path not in copies:
            copies[path] = f"{MEDIA}/{number:03d}-{len(copies):02d}{path.suffix.lower()}"
            shutil.copyfile(path, part / copies[path])
    tracks = {condition: copies[path] for condition, path in film.tracks.items()}
    return {"name": film.name, "video": copies[film.video], "tracks": tracks}


def _write_check(part: Path, number: int, film: StudyFilm, seconds: float) -> dict[str, str]:
    audio = probe(next(iter(film.tracks.values()))).audio
    assert audio is not None
    bursts = check_bursts(seconds, 48_000, audio.channels)
    file = f"{MEDIA}/{number:03d}-check.flac"
    soundfile.write(part / file, bursts, 48_000, subtype="PCM_16")
    return asdict(Track(file, "ambix" if bursts.shape[1] == 4 else "auto"))


def _note(spec: StudySpec, films: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {key: value for key, value in vars(spec).items() if key != "films"}
    return {"format": FORMAT, "version": VERSION, "settings": settings, "films": films}


def _film(folder: Path, values: Mapping[str, Any]) -> StudyFilm:
    tracks = {str(key): folder / _inside(folder, file) for key, file in values["tracks"].items()}
    return StudyFilm(str(values["name"]), folder / _inside(folder, values["video"]), tracks)


def _inside(folder: Path, file: Any) -> str:
    """A path of the folder's file, which leads nowhere else."""
    if not isinstance(file, str) or not (folder / file).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"expected files in the folder of the study, got {excerpt(file, 80)}")
    if not is_regular(folder / file):
        raise InputError(f"expected the file {excerpt(file, 80)} of the study, there is none")
    return file
