"""Two commands at once in one folder: one is refused in a line, or both are right.

    python tests/fuzz/together.py pretrain report --count 20 --seed 1

A trial starts a command twice, the second at a random moment of the first one's duration, half of the time with another
setting. It survives if one or both end well, one that does not is refused in one line, and the files are those of one
command alone: never the config of one and the weights of the other.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from folders import Digest, difference, leftovers
from forked import last_line, warm_up
from kill import SECONDS, make_ready, result, start
from kill_commands import COMMANDS, Killable, write_shared
from tally import Tally, arguments, parsed, workplace


class Alone:
    """Results of a command alone, with its settings and with the others."""

    def __init__(self, command: Killable, trial: Path, shared: Path) -> None:
        self.results: list[Digest] = []
        for more in ((), command.other):
            make_ready(command, trial, shared)
            ended = start(command, trial, shared, *more).wait(SECONDS)
            assert ended.code == 0, ended.text
            self.results.append(result(trial))
            self.seconds = ended.seconds


def attempt(command: Killable, trial: Path, shared: Path, alone: Alone, rng: np.random.Generator) -> tuple[str, str]:
    """Two commands at once; returns what was done, and the fault."""
    make_ready(command, trial, shared)
    other, delay = bool(rng.integers(2)), float(rng.choice([0, rng.uniform(0, alone.seconds)]))
    title = f"{'other' if other else 'same'} settings, {delay:.2f} s later"
    first = start(command, trial, shared, log="first.txt")
    time.sleep(delay)
    second = start(command, trial, shared, *(command.other if other else ()), log="second.txt")
    ends = [each.wait(SECONDS) for each in (first, second)]
    for name, end in zip(("first", "second"), ends, strict=True):
        if fault := end.fault((0, 2)):
            return title, f"{name}: {fault}"
    if all(end.code for end in ends):
        return title, f"both were refused: {last_line(ends[0].text)} | {last_line(ends[1].text)}"
    left = leftovers(trial / "out") + leftovers(trial / "cache")
    if left:
        return title, f"left over: {', '.join(left[:4])}"
    found = [difference(right, result(trial)) for right in (alone.results if other else alone.results[:1])]
    return title, "" if "" in found else f"exit codes {[end.code for end in ends]}: {' | '.join(found)}"


def two_parts(trial: Path, shared: Path, rng: np.random.Generator) -> tuple[str, str]:
    """Two reports into two parts of one file."""
    command = COMMANDS["report"]
    make_ready(command, trial, shared)
    into = trial / "out" / "RESULTS.md"
    marks = [f"<!-- avssl report {name} -->\n<!-- end of report -->\n" for name in "ab"]
    into.write_text("# Results\n" + "\n".join(marks) + "end\n")
    delay = float(rng.uniform(0, 0.3))
    running = [start(command, trial, shared, "--part", "a", "--out", trial / "a", log="first.txt")]
    time.sleep(delay)
    running.append(start(command, trial, shared, "--part", "b", "--out", trial / "b", log="second.txt"))
    ends = [each.wait(SECONDS) for each in running]
    title = f"two parts, {delay:.2f} s later"
    if fault := next((fault for end in ends if (fault := end.fault((0, 2)))), ""):
        return title, fault
    filled = into.read_text().count("| --- |")
    return title, "" if filled == sum(
        not end.code for end in ends
    ) else f"{filled} parts of {sum(not e.code for e in ends)}"


def main() -> int:
    """Try and report."""
    options = parsed(arguments(__doc__.splitlines()[0], 10, (*COMMANDS, "report-parts")))
    warm_up()
    tally = Tally(options.keep)
    with workplace() as place:
        trial, shared = place / "trial", place / "shared"
        write_shared(shared, ["report" if name == "report-parts" else name for name in options.only])
        for name in options.only:
            alone = None if name == "report-parts" else Alone(COMMANDS[name], trial, shared)
            for number in range(options.first, options.first + options.count):
                rng = np.random.default_rng([options.seed, number])
                title, fault = (
                    attempt(COMMANDS[name], trial, shared, alone, rng) if alone else two_parts(trial, shared, rng)
                )
                tally.note(name, f"{number} {title}", fault)
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
