"""The part of a Markdown file that a command rewrites."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.printable_text import utf8_text
from avssl.regular_files import read_bytes

BEGIN, END = "<!-- avssl report -->", "<!-- end of report -->"
FENCES = ("```", "~~~")


class Insertion:
    """A Markdown file with a place for a report: between a line `BEGIN` and a line `END`, once, in no code block.

    Args:
        path: the file; a link is followed.
        part: a name that both lines have before their `-->`, where a file has places for several reports.

    Raises:
        InputError: it is not UTF-8, or has not these two lines once and in this order.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, part: str = "") -> None:
        self.path = path.resolve()
        try:
            self.lines = read_bytes(path, "Markdown").decode("utf-8").splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: expected Markdown in UTF-8: {error.reason} at byte {error.start}") from error
        self.begin, self.end = (_only(path, self.lines, mark) for mark in marks(part))
        if self.end < self.begin:
            begin, end = marks(part)
            raise InputError(f"{path}: the line {end!r} comes before {begin!r}: exchange them")

    def write(self, text: str) -> None:
        """Put a text between the two lines, whole or not at all; every other byte stays.

        Raises:
            OSError: the file cannot be written.
        """
        ending = "\r\n" if self.lines[self.begin].endswith("\r\n") else "\n"
        middle = ["", *text.strip("\n").split("\n"), ""]
        parts = [*self.lines[: self.begin + 1], *(f"{line}{ending}" for line in middle), *self.lines[self.end :]]
        with replacing(self.path, mode=stat.S_IMODE(self.path.stat().st_mode)) as part:
            part.write_bytes(utf8_text("".join(parts)).encode("utf-8"))

    def link(self, target: Path) -> str:
        """A file's address as seen from this one."""
        return Path(os.path.relpath(target.resolve(), self.path.parent)).as_posix().replace(" ", "%20")


def marks(part: str = "") -> tuple[str, str]:
    """The lines around a place."""
    begin, end = (f"{mark.removesuffix('-->')}{part} -->" if part else mark for mark in (BEGIN, END))
    return begin, end


def _only(path: Path, lines: list[str], mark: str) -> int:
    """The one line that is a mark; code blocks may show it."""
    found, fenced = [], False
    for at, line in enumerate(lines):
        fenced ^= line.lstrip().startswith(FENCES)
        if line.strip() == mark and not fenced:
            found.append(at)
    if len(found) != 1:
        raise InputError(f"{path}: expected one line {mark!r} for the report, there are {len(found)}")
    return found[0]
