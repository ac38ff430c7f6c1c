"""Standard output and error of the command line, in any encoding: signs that it lacks are replaced, never a failure."""

from __future__ import annotations

import codecs
import io
import sys


class _AsciiStream(io.TextIOWrapper):
    """Writes ASCII under a name that click writes to: it takes plain ASCII for a mistake, and would write UTF-8."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """A name of a larger encoding."""
        return "latin-1"


def make_streams_plain() -> None:
    """Let standard output and error replace what they cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # closed, or a program's own
            continue
        stream.reconfigure(errors="replace")
        if codecs.lookup(stream.encoding).name == "ascii":
            buffered = stream.line_buffering
            setattr(sys, name, _AsciiStream(stream.buffer, "ascii", "replace", line_buffering=buffered))
