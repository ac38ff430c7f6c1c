"""Names and messages as text that every file, table and terminal can take."""

from __future__ import annotations

import re
from pathlib import Path

SCHEMES = ("s3", "gs", "http", "https", "memory")
"""Of addresses of stores, see `avssl.stores.virtual_paths`."""
_ADDRESS = re.compile(rf"(?<![\w/.])({'|'.join(SCHEMES)}):/(?=[^/\s])")
"""Of paths, which have one slash where addresses have two."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends, and marks that turn the direction of writing."""


def utf8_text(text: Path | str) -> str:
    r"""A name whose bytes are not all UTF-8 with those bytes in words, such as `caf\xe9`; any other as it is."""
    try:
        return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, as JSON can have it
        return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: Path | str) -> str:
    r"""A name or message in one line, as `utf8_text`; control characters are in words too, such as `\n`."""
    line = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), utf8_text(text))
    return _ADDRESS.sub(r"\1://", line)
