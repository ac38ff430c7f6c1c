"""Design of a study as a person writes it: films, conditions with their sound tracks, questions.

A YAML file::

    title: Is the sound where its source is?
    question: real-or-fake            # or preference
    consent: You will watch ...       # or consent_file: consent.md
    films:
      - name: street
        video: street-360.mp4
        tracks: {recorded: street-360.mp4, ours: street-ours.wav, mono: street-mono.wav}

Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from avssl.errors import InputError, excerpt
from avssl.plugins import hint
from avssl.regular_files import check_regular, read_text
from avssl.yaml_files import read_yaml

REAL, PREFERENCE = "real-or-fake", "preference"
QUESTIONS = {
    REAL: "Is the sound where its source is?",
    PREFERENCE: "In which of the two is the sound where its source is?",
}
CONSENT = (
    "You will watch short films and answer a question about the sound of each. Your answers are stored under a random "
    "code, with the time that each took and whether a headset was used; no name and no address is stored. Taking part "
    "is voluntary, and you may stop at any time by closing the page; keep the code to go on later. By starting you "
    "consent to the use of your answers in research."
)
MAX_TEXT = 20_000
MAX_FILMS = 1000
MAX_CONDITIONS = 20


@dataclass(frozen=True)
class StudyFilm:
    """A film with a sound track a condition."""

    name: str
    video: Path
    tracks: Mapping[str, Path]
    """Condition -> file with the sound."""


@dataclass(frozen=True)
class StudySpec:
    """A study before its media are copied."""

    films: tuple[StudyFilm, ...]
    question: str = REAL
    """real-or-fake or preference."""
    title: str = "Listening study"
    text: str = ""
    """Question on the page; empty: that of `QUESTIONS`."""
    consent: str = CONSENT
    all_conditions: bool = False
    """Each participant judges each film in all conditions, instead of in one that changes over participants."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Conditions compared, of a preference study; empty: all pairs."""
    attention_checks: int = 2
    """Trials with a right answer: bursts of noise from a direction that jumps, which no film has."""
    go_back: bool = True
    """Whether participants may change earlier answers."""
    seed: int = 0
    channel_layout: str = "auto"
    """Of all tracks; see `avssl prepare`."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def conditions(self) -> tuple[str, ...]:
        """In the order of the first film's tracks."""
        return tuple(self.films[0].tracks)

    @property
    def compared(self) -> tuple[tuple[str, str], ...]:
        """Pairs of conditions of a preference study."""
        return self.pairs or tuple(combinations(self.conditions, 2))


KEYS = ("consent_file", *(each.name for each in fields(StudySpec)))


def read_spec(path: Path) -> StudySpec:
    """The design that a YAML file holds.

    Raises:
        InputError: it is no design, in one line with the film, or names files that are not there.
        OSError: it cannot be read.
    """
    values: Any = OmegaConf.to_container(read_yaml(path, "the design of a study"))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected the design of a study with 'films', got {excerpt(values, 40)}")
    for key in values:
        if key not in KEYS:
            raise InputError(
                f"{path}: expected the keys {', '.join(KEYS)}, got {excerpt(key, 40)}{hint(str(key), KEYS)}"
            )
    films = values.pop("films", None)
    if not isinstance(films, list):
        raise InputError(f"{path}: expected a list of films under 'films', got {excerpt(films, 40)}")
    made = [_film(each, path.parent, f"{path}: film {row}") for row, each in enumerate(films)]
    return make_spec(made, values, str(path), path.parent)


def make_spec(films: Iterable[StudyFilm], values: Mapping[str, Any], where: str, folder: Path) -> StudySpec:
    """A design of films and other values, checked.

    Args:
        films: with their tracks.
        values: keys of `StudySpec` but films, and `consent_file`.
        where: file or command, for the error.
        folder: that paths are relative to.

    Raises:
        InputError: a value is none that its key can have.
        OSError: the consent text cannot be read.
    """
    given = dict(values)
    if (file := given.pop("consent_file", None)) is not None:
        given["consent"] = read_text(folder / str(file), "a consent text")
    if "pairs" in given:
        given["pairs"] = _pairs(given["pairs"], where)
    for key, kind in _TYPES.items():
        if key in given and type(given[key]) is not kind:
            raise InputError(f"{where}: expected {_KINDS[kind]} as {key!r}, got {excerpt(given[key], 40)}")
    try:
        return StudySpec(tuple(films), **given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


_TYPES = {"question": str, "title": str, "text": str, "consent": str, "channel_layout": str, "all_conditions": bool,
          "go_back": bool, "attention_checks": int, "seed": int}  # fmt: skip
_KINDS = {str: "a text", bool: "true or false", int: "a whole number"}


def _pairs(values: Any, where: str) -> tuple[tuple[str, str], ...]:
    if isinstance(values, list) and all(isinstance(each, list) and len(each) == 2 for each in values):
        return tuple((str(one), str(other)) for one, other in values)
    raise InputError(f"{where}: expected a list of two conditions each as 'pairs', got {excerpt(values, 60)}")


def _film(values: Any, folder: Path, where: str) -> StudyFilm:
    if not isinstance(values, Mapping) or not set(values) <= {"name", "video", "tracks"} or "video" not in values:
        raise InputError(f"{where}: expected 'name', 'video' and 'tracks', got {excerpt(values, 80)}")
    tracks = values.get("tracks")
    if not isinstance(tracks, Mapping) or not tracks:
        raise InputError(f"{where}: expected a file a condition under 'tracks', got {excerpt(tracks, 60)}")
    video = folder / str(values["video"])
    named = {str(key): folder / str(path) for key, path in tracks.items()}
    return StudyFilm(str(values.get("name", video.stem)), video, named)


def _check(spec: StudySpec) -> None:
    if spec.question not in QUESTIONS:
        raise InputError(f"expected {' or '.join(QUESTIONS)} as 'question', got {excerpt(spec.question, 40)}")
    if not 0 < len(spec.films) <= MAX_FILMS:
        raise InputError(f"expected 1 to {MAX_FILMS} films, got {len(spec.films)}")
    if not 0 <= spec.attention_checks <= 100:
        raise InputError(f"expected 0 to 100 attention checks, got {spec.attention_checks}")
    if max(map(len, (spec.title, spec.text, spec.consent))) > MAX_TEXT or not spec.consent.strip():
        raise InputError(f"expected a consent text, and texts of {MAX_TEXT} characters at most")
    names = [film.name for film in spec.films]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"expected a name of its own for each film, got {excerpt(twice, 60)} twice")
    for film in spec.films:
        _check_film(film, spec)
    for pair in spec.pairs:
        if len(set(pair)) != 2 or not set(pair) <= set(spec.conditions):
            raise InputError(f"expected two of the conditions {', '.join(spec.conditions)} as a pair, got {pair}")


def _check_film(film: StudyFilm, spec: StudySpec) -> None:
    if set(film.tracks) != set(spec.conditions):
        wanted = ", ".join(spec.conditions)
        raise InputError(
            f"film {excerpt(film.name, 60)!r}: expected a track for each of {wanted}, got {', '.join(film.tracks)}"
        )
    least = 2 if spec.question == PREFERENCE else 1
    if not least <= len(film.tracks) <= MAX_CONDITIONS:
        raise InputError(f"expected {least} to {MAX_CONDITIONS} conditions, got {len(film.tracks)}")
    check_regular(film.video, "a film")
    for path in film.tracks.values():
        check_regular(path, "a sound track")
