"""Small media files, damaged in ten ways, through prepare, embed, energy-overlay and `spatialize --input`.

    python tests/fuzz/corrupt.py embed --count 200 --seed 1 --keep failing

A file survives if the command ends within a minute and 2 GB, without traceback and with a documented exit code; a
refusal is one line with the name of the file, good files beside it come out as without it, and nothing is left
half-written.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from corrupt_commands import COMMANDS, Command
from damage import WAYS
from forked import warm_up
from small_media import AUDIO, IMAGES, VIDEO, write_samples
from tally import Tally, arguments, parsed, workplace

BATCH = 50
"""Damaged files in one folder, of the commands that take a folder."""


@dataclass(frozen=True)
class Case:
    """A damaged file."""

    number: int
    kind: str
    way: str
    data: bytes

    @property
    def title(self) -> str:
        """Number, kind and damage."""
        return f"{self.number} {self.kind} {self.way}"


def case(number: int, seed: int, kinds: Sequence[str], samples: dict[str, bytes]) -> Case:
    """The damaged file of a number: kinds one after the other, then ways, then other random places."""
    rng = np.random.default_rng([seed, number])
    kind, way = kinds[number % len(kinds)], WAYS[number // len(kinds) % len(WAYS)]
    return Case(number, kind, way.__name__, way(samples[kind], rng))


def batches(cases: list[Case], size: int) -> Iterator[list[Case]]:
    """Cases in folders of a command; images are in folders of their own layout."""
    for group in ([each for each in cases if (each.kind == IMAGES) is images] for images in (False, True)):
        yield from (group[at : at + size] for at in range(0, len(group), size))


def attempt(command: Command, cases: list[Case], place: Path) -> tuple[dict[int, str], bool]:
    """Faults of cases that go through a command together, by number; and whether the command as a whole survived."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return command.attempt(cases, place)


def try_batch(command: Command, cases: list[Case], place: Path, tally: Tally) -> None:
    """Try cases together; where the whole fails, each alone, so that the file is named."""
    faults, whole = attempt(command, cases, place)
    tally.measure(command.name, command.ended)
    if not whole and len(cases) > 1:
        together = faults
        for each in cases:
            try_batch(command, [each], place, tally)
        if not any(fault for number, fault in together.items()):
            return
        if not tally.faults.get(command.name):
            tally.note(
                command.name, f"{cases[0].number}..{cases[-1].number} together", next(iter(together.values())), 0
            )
        return
    for each in cases:
        kept = tuple(path for path in (place / "in").rglob(f"{each.number}*")) if faults.get(each.number) else ()
        tally.note(command.name, each.title, faults.get(each.number, ""), files=kept)


def kinds_of(command: Command) -> list[str]:
    """Kinds of file that a command takes."""
    return [*VIDEO, *(AUDIO if command.takes_audio else ()), *([IMAGES] if command.takes_images else ())]


def main() -> int:
    """Try and report."""
    options = parsed(arguments(__doc__.splitlines()[0], 100, tuple(COMMANDS)))
    warm_up()
    tally = Tally(options.keep)
    with workplace() as place:
        (place / "samples").mkdir()
        samples = write_samples(place / "samples")
        for name in options.only:
            command = COMMANDS[name](place)
            numbers = range(options.first, options.first + options.count)
            cases = [case(number, options.seed, kinds_of(command), samples) for number in numbers]
            for batch in batches(cases, BATCH if command.batched else 1):
                try_batch(command, batch, place / "trial", tally)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
