"""Paths of files that the operating system does not open: objects of a store, and members of tar shards.

`pathlib` makes one slash of the two after a scheme: `Path("s3://bucket/key")` is `s3:/bucket/key`, and joins as others.
A member of a shard is `SHARD.tar/@FIRST+LENGTH-CRC/NAME`: where its sample lies in the shard, the CRC-32 of these bytes
in hexadecimal, and the member's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from avssl.printable_text import SCHEMES

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+(?=[^/])")
PACKED = r"(?P<shard>.+\.tar)/@(?P<first>\d{1,18})\+(?P<length>\d{1,18})-(?P<crc>[0-9a-f]{8})/(?P<name>[^/]+)"
"""Pattern of members of shards."""
_PACKED = re.compile(PACKED)


@dataclass(frozen=True)
class PackedPath:
    """A member of a shard."""

    shard: Path
    first: int
    """Byte of the shard at which the sample begins, with a tar header."""
    length: int
    """Bytes of the sample, headers and padding included."""
    crc: int
    """CRC-32 of these bytes."""
    name: str
    """Of the member."""

    def __str__(self) -> str:
        return f"{self.shard}/@{self.first}+{self.length}-{self.crc:08x}/{self.name}"


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


def packed_parts(path: Path | str) -> PackedPath | None:
    """Where a member of a shard is; None for other paths."""
    found = _PACKED.fullmatch(str(path)) if ".tar/@" in str(path) else None
    if found is None:
        return None
    shard, first, length, crc, name = found.groups()
    return PackedPath(Path(shard), int(first), int(length), int(crc, 16), name)


def absolute_path(path: Path) -> Path:
    """As `Path.absolute`; an address is one."""
    return path if is_address(path) else path.absolute()
