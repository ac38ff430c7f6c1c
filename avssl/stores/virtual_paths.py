"""Paths of files that the operating system does not open: objects of a store, and members of tar shards.

`pathlib` makes one slash of the two after a scheme: `Path("s3://bucket/key")` is `s3:/bucket/key`, and joins as others.
A member of a shard is `SHARD.tar/@FIRST+LENGTH/NAME`: where its sample lies in the shard, and the member's name there.
"""

from __future__ import annotations

import re
from pathlib import Path

from avssl.printable_text import SCHEMES

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+(?=[^/])")
_PACKED = re.compile(r"(.+\.tar)/@(\d{1,18})\+(\d{1,18})/([^/]+)")


def is_address(path: Path | str) -> bool:
    """Whether a path is of a store, such as `s3://bucket/key`."""
    return _ADDRESS.match(str(path)) is not None


def address_text(path: Path | str) -> str:
    """A path of a store as an address with both slashes; any other as it is."""
    return _ADDRESS.sub(r"\1://", str(path), count=1)


def is_virtual(path: Path | str) -> bool:
    """Whether a path is of a store, or of a member of a shard."""
    text = str(path)
    return ".tar/@" in text or _ADDRESS.match(text) is not None


def packed_parts(path: Path | str) -> tuple[Path, int, int, str] | None:
    """Shard, first byte and length of the sample, and name of the member; None for other paths."""
    found = _PACKED.fullmatch(str(path)) if ".tar/@" in str(path) else None
    return None if found is None else (Path(found[1]), int(found[2]), int(found[3]), found[4])


def absolute_path(path: Path) -> Path:
    """As `Path.absolute`; an address is one."""
    return path if is_address(path) else path.absolute()
