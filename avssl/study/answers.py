"""Answers of participants in SQLite: random codes, no name, no address, no date."""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from avssl.errors import InputError, OutputError, excerpt, first_line
from avssl.io.atomic import naming
from avssl.study.study_folder import Study
from avssl.study.study_spec import PREFERENCE
from avssl.study.trial_order import Trial, trials_of

NAME = "answers.sqlite"
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Characters of codes: none that are taken for another."""
CODE = 8
LONGEST_ANSWER = 86_400.0
"""Seconds stored at most as the time of an answer."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS about (format TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS participants (number INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, trials TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    participant INTEGER NOT NULL REFERENCES participants(number), trial INTEGER NOT NULL, answer TEXT NOT NULL,
    seconds REAL NOT NULL, headset INTEGER NOT NULL, changes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (participant, trial));
"""
FORMAT, VERSION = "avssl-study-answers", 1


class RefusedAnswerError(ValueError):
    """An answer that a study does not take, with the reason for the participant; nothing has changed."""


@dataclass(frozen=True)
class Participant:
    """A participant and what they have answered."""

    number: int
    """From 0, in the order of arrival."""
    code: str
    trials: tuple[Trial, ...]
    answers: dict[int, str]
    """Trial -> answer."""

    @property
    def next(self) -> int:
        """The first trial without an answer; as many as there are trials at the end."""
        return next((at for at in range(len(self.trials)) if at not in self.answers), len(self.trials))


@dataclass(frozen=True)
class Answer:
    """A stored answer."""

    participant: int
    code: str
    trial: int
    film: int
    conditions: tuple[str, ...]
    check: bool
    right: str
    """Of a check."""
    answer: str
    """real or fake; A or B."""
    seconds: float
    headset: bool
    changes: int
    """Times that the participant came back and changed it."""

    @property
    def chosen(self) -> str:
        """The condition that was preferred; empty in studies of real or fake."""
        return self.conditions["AB".index(self.answer)] if len(self.conditions) == 2 else ""


class Answers:
    """Database of a study; several threads and processes may use it.

    Args:
        study: the study.

    Raises:
        InputError: its file is no database of answers.
        OutputError: it cannot be written.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.path = study, study.folder / NAME
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        with self._errors(), naming(self.path):
            self._base = sqlite3.connect(self.path, timeout=20, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")  # on the disk before the page goes on
            self._base.executescript(SCHEMA)
            with self._transaction() as base:
                if not (found := base.execute("SELECT format, version FROM about").fetchall()):
                    base.execute("INSERT INTO about VALUES (?, ?)", (FORMAT, VERSION))
                elif found != [(FORMAT, VERSION)]:
                    raise InputError(f"{self.path}: expected answers of version {VERSION}, got {excerpt(found, 60)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def join(self) -> Participant:
        """A new participant."""
        with self._transaction() as base:
            number = base.execute("SELECT COALESCE(MAX(number) + 1, 0) FROM participants").fetchone()[0]
            trials, code = trials_of(self.study.spec, number), _new_code()
            note = json.dumps([each.to_json() for each in trials])
            base.execute("INSERT INTO participants VALUES (?, ?, ?)", (number, code, note))
        return Participant(number, code, tuple(trials), {})

    def participant(self, code: str) -> Participant | None:
        """The participant of a code, written in any case, with or without its dash; None if there is none."""
        with self._errors(), self._guard:
            row = self._base.execute(
                "SELECT number, code, trials FROM participants WHERE code = ?", (plain_code(code),)
            ).fetchone()
            if row is None:
                return None
            answers = self._base.execute("SELECT trial, answer FROM answers WHERE participant = ?", row[:1]).fetchall()
        return Participant(row[0], row[1], _trials(row[2]), dict(answers))

    def answer(self, participant: Participant, trial: int, answer: str, seconds: float, headset: bool) -> Participant:
        """Store an answer; on return it is on the disk.

        Args:
            participant: as `participant` gave them.
            trial: number of the trial.
            answer: real or fake; A or B.
            seconds: time it took.
            headset: whether it was given in a headset.

        Raises:
            RefusedAnswerError: no such trial or answer, an earlier trial has none, or it was answered otherwise and the
                study has no way back.
        """
        self._check(participant, trial, answer, seconds)
        with self._transaction() as base:
            key = (participant.number, trial)
            stored = base.execute("SELECT answer FROM answers WHERE participant = ? AND trial = ?", key).fetchone()
            if stored is None:
                base.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, 0)", (*key, answer, seconds, int(headset)))
            elif stored[0] != answer:
                if not self.study.spec.go_back:
                    raise RefusedAnswerError(
                        f"Question {trial + 1} was answered before, and this study has no way back; that answer stays."
                    )
                base.execute(
                    "UPDATE answers SET answer = ?, seconds = seconds + ?, headset = ?, changes = changes + 1 "
                    "WHERE participant = ? AND trial = ?", (answer, seconds, int(headset), *key)
                )  # fmt: skip
        found = self.participant(participant.code)
        assert found is not None
        return found

    def all(self) -> list[Answer]:
        """All answers, by participant and trial."""
        with self._errors(), self._guard:
            rows = self._base.execute(
                "SELECT number, code, trials, trial, answer, seconds, headset, changes FROM answers "
                "JOIN participants ON participant = number ORDER BY number, trial"
            ).fetchall()
        return [_answer(*row) for row in rows]

    def arrived(self) -> list[Participant]:
        """All participants, those without answers too."""
        with self._errors(), self._guard:
            codes = [row[0] for row in self._base.execute("SELECT code FROM participants ORDER BY number")]
        return [found for code in codes if (found := self.participant(code))]

    def _check(self, participant: Participant, trial: int, answer: str, seconds: float) -> None:
        if not 0 <= trial < len(participant.trials):
            raise RefusedAnswerError(f"Expected a question from 1 to {len(participant.trials)}, got {trial + 1}.")
        if trial > participant.next:
            raise RefusedAnswerError(f"Expected the answer to question {participant.next + 1} first.")
        allowed = ("A", "B") if self.study.spec.question == PREFERENCE else ("real", "fake")
        if answer not in allowed:
            raise RefusedAnswerError(f"Expected {' or '.join(allowed)} as the answer, got {excerpt(answer, 40)}.")
        if not (math.isfinite(seconds) and 0 <= seconds <= LONGEST_ANSWER):
            raise RefusedAnswerError("Expected the time of the answer as seconds of a day at most.")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors(), self._guard:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                self._base.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(f"{self.path}: cannot be written: {first_line(error)}") from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self.path}: expected a database of answers: {first_line(error)}") from error


def plain_code(code: str) -> str:
    """A code as it is stored."""
    return "".join(each for each in code.upper() if each in ALPHABET)


def shown_code(code: str) -> str:
    """A code in two groups."""
    return f"{code[: CODE // 2]}-{code[CODE // 2 :]}"


def _new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE))


def _trials(note: str) -> tuple[Trial, ...]:
    return tuple(
        Trial(each["film"], tuple(each["conditions"]), each["check"], each["right"]) for each in json.loads(note)
    )


def _answer(number: int, code: str, trials: str, trial: int, *values: Any) -> Answer:
    asked = _trials(trials)[trial]
    answer, seconds, headset, changes = values
    return Answer(number, code, trial, asked.film, asked.conditions, asked.check, asked.right, answer, seconds,
                  bool(headset), changes)  # fmt: skip
