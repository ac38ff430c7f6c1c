"""Trials of a study, and their balanced order for each participant.

Orders are rows of a Williams design (Williams 1949): over as many participants as there are trials (twice as many where
that number is odd), each trial stands at each place equally often and follows each other one equally often. Conditions
of films turn as in a Latin square, so that over all films and conditions each film has each condition equally often,
at each place.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from avssl.study.study_spec import PREFERENCE, StudySpec

CHECK = "attention check"
"""Condition of checks in answers."""


@dataclass(frozen=True)
class Trial:
    """One question of one participant."""

    film: int
    """Number of the film."""
    conditions: tuple[str, ...]
    """One, or the two in the order of the page: A, B."""
    check: bool = False
    """Whether it has a right answer."""
    right: str = ""
    """Right answer of a check: real, fake, A or B."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the database."""
        return {"film": self.film, "conditions": list(self.conditions), "check": self.check, "right": self.right}


def trials_of(spec: StudySpec, participant: int) -> list[Trial]:
    """Trials of a participant in order.

    Args:
        spec: the design.
        participant: number, from 0 in the order of arrival.
    """
    trials = _scored(spec, participant)
    names = list(range(len(trials)))
    random.Random(f"{spec.seed} trials").shuffle(names)
    ordered = [trials[names[at]] for at in williams_row(len(trials), participant)]
    return _with_checks(spec, participant, ordered)


def williams_row(count: int, number: int) -> list[int]:
    """Row of a Williams design of `count` treatments; rows repeat after `count`, or twice that where it is odd."""
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(count)]
    row = [(each + number) % count for each in zigzag]
    return row[::-1] if count % 2 and (number // count) % 2 else row


def _scored(spec: StudySpec, participant: int) -> list[Trial]:
    """Trials that count, by film: all conditions, or the one whose turn it is."""
    choices = spec.compared if spec.question == PREFERENCE else tuple((each,) for each in spec.conditions)
    count = len(spec.films) * (len(choices) if spec.all_conditions else 1)
    turn = participant % count + participant // (count if count % 2 == 0 else 2 * count)
    found = []
    for film in range(len(spec.films)):
        chosen = range(len(choices)) if spec.all_conditions else [(film + turn) % len(choices)]
        for number in chosen:
            pair = choices[number]
            mirrored = len(pair) == 2 and (film + number + participant // max(1, len(choices))) % 2
            found.append(Trial(film, pair[::-1] if mirrored else pair))
    return found


def _with_checks(spec: StudySpec, participant: int, trials: list[Trial]) -> list[Trial]:
    """Checks at random places, none first."""
    generator = random.Random(f"{spec.seed} checks {participant}")
    found = list(trials)
    for number in range(spec.attention_checks):
        film = generator.randrange(len(spec.films))
        place = generator.randint(1, len(found))
        found.insert(place, _check(spec, film, generator.random() < 0.5 if number else True))
    return found


def _check(spec: StudySpec, film: int, first: bool) -> Trial:
    if spec.question != PREFERENCE:
        return Trial(film, (CHECK,), True, "fake")
    honest = spec.conditions[0]
    return Trial(film, (honest, CHECK) if first else (CHECK, honest), True, "A" if first else "B")
