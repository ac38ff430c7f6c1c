"""Tried and survived, counted and printed; failing inputs kept."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forked import Ended


@dataclass
class Tally:
    """Outcomes of trials, in rows by name.

    Args:
        keep: folder for inputs that fail, and `README.md` with a line each; None: not kept.
    """

    keep: Path | None = None
    tried: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """The slowest command of a row."""
    megabytes: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def note(self, row: str, title: str, fault: str, tried: int = 1, files: tuple[Path, ...] = ()) -> None:
        """Count trials of a row, of which one has a fault, unless it is empty."""
        self.tried[row] = self.tried.get(row, 0) + tried
        if not fault:
            return
        self.faults.setdefault(row, []).append(f"{title}: {fault}")
        print(f"FAULT {row} {title}: {fault}", file=sys.stderr, flush=True)
        if self.keep is not None:
            self._keep(row, title, fault, files)

    def measure(self, row: str, ended: Ended) -> None:
        """Keep the time and the memory of the largest command of a row."""
        self.seconds[row] = max(self.seconds.get(row, 0.0), ended.seconds)
        self.megabytes[row] = max(self.megabytes.get(row, 0.0), ended.megabytes)

    def report(self) -> int:
        """Print a table; the exit code is 1 where something did not survive."""
        print("\n| trial | tried | survived | slowest, s | largest process, MB |\n| --- | ---: | ---: | ---: | ---: |")
        for row, tried in self.tried.items():
            survived = tried - len(self.faults.get(row, ()))
            print(
                f"| {row} | {tried} | {survived} | {self.seconds.get(row, 0):.1f} | {self.megabytes.get(row, 0):.0f} |"
            )
        tried, lost = sum(self.tried.values()), sum(map(len, self.faults.values()))
        print(f"\ntried {tried}, survived {tried - lost}, {time.monotonic() - self.began:.0f} s", flush=True)
        return int(lost > 0)

    def _keep(self, row: str, title: str, fault: str, files: tuple[Path, ...]) -> None:
        folder = self.keep / "".join(each if each.isalnum() else "-" for each in f"{row}-{title}")[:120]
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            with_options = {"dirs_exist_ok": True} if path.is_dir() else {}
            copy(path, folder / path.name, **with_options)
        with (self.keep / "README.md").open("a", encoding="utf-8") as file:
            file.write(f"- {row}: {title}: {fault} ({folder.name}/)\n")


def arguments(description: str, count: int, choices: tuple[str, ...]) -> argparse.ArgumentParser:
    """The options that all scripts share.

    Args:
        description: of the script.
        count: trials of each choice, unless others are asked for.
        choices: what can be tried.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("only", nargs="*", metavar="WHAT", help=f"{', '.join(choices)}; default: all")
    parser.add_argument("--count", type=int, default=count, help=f"trials of each; default: {count}")
    parser.add_argument("--seed", type=int, default=0, help="of all random choices; default: 0")
    parser.add_argument("--first", type=int, default=0, help="number of the first trial, to repeat one; default: 0")
    parser.add_argument("--keep", type=Path, help="folder for inputs that fail")
    parser.set_defaults(choices=choices)
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of a command line; `only` names all choices where it names none."""
    options = parser.parse_args()
    if unknown := set(options.only) - set(options.choices):
        parser.error(f"expected {', '.join(options.choices)}, got {', '.join(sorted(unknown))}")
    options.only = options.only or list(options.choices)
    return options


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder, with the cache of avssl in it."""
    with tempfile.TemporaryDirectory(prefix="avssl-fuzz-", ignore_cleanup_errors=True) as name:
        yield Path(name)
