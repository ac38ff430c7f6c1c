"""Parse, edit and serialize mp4/mov boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from avssl.errors import InputError
from avssl.regular_files import open_regular

# Bytes before the child boxes.
_CONTAINERS = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8, b"sv3d": 0, b"proj": 0}
_IMAGE_ENTRY, _AUDIO_ENTRY = 78, 28
# Extra fields of QuickTime audio sample entries, by version.
_AUDIO_EXTRA = {0: 0, 1: 16, 2: 36}
LARGEST_HEADER = 1 << 28
"""Maximum bytes of a moov box; ten hours of video have 30 MB."""


class BoxPosition(NamedTuple):
    """Byte range of a box in a file."""

    kind: bytes
    begin: int
    end: int


@dataclass
class Box:
    """One box: its own bytes, then child boxes."""

    kind: bytes
    body: bytes = b""
    children: list[Box] = field(default_factory=list)

    def pack(self) -> bytes:
        """Serialize the box."""
        inside = self.body + b"".join(child.pack() for child in self.children)
        return struct.pack(">I4s", 8 + len(inside), self.kind) + inside

    def find(self, *kinds: bytes) -> Box | None:
        """The first box down a path of kinds, or None."""
        return next(self.all(*kinds), None)

    def all(self, *kinds: bytes) -> Iterator[Box]:
        """Every box down a path of kinds."""
        if not kinds:
            yield self
            return
        for child in self.children:
            if child.kind == kinds[0]:
                yield from child.all(*kinds[1:])

    def drop(self, *kinds: bytes) -> None:
        """Remove child boxes of some kinds."""
        self.children = [child for child in self.children if child.kind not in kinds]


def full_box(kind: bytes, body: bytes) -> Box:
    """A box of version 0 without flags."""
    return Box(kind, bytes(4) + body)


def places(file: IO[bytes]) -> list[BoxPosition]:
    """Top-level boxes of a file, up to its end or a truncation."""
    return [place for place, _ in box_positions(file, 0, file.seek(0, 2))]


def box_positions(file: IO[bytes], begin: int, size: int) -> Iterator[tuple[BoxPosition, int]]:
    """Boxes between two positions of a file, each with the position of its body, up to the first invalid one."""
    at = begin
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        body = at + 8
        if length == 1 and len(head) == 16:
            length, body = struct.unpack(">Q", head[8:])[0], at + 16
        end = size if length == 0 else at + length
        if end < body or end > size:
            return
        yield BoxPosition(kind, at, end), body
        at = end


def read_header(path: Path) -> Box | None:
    """Read the moov box of a file; None if it has none.

    Raises:
        OSError: there is no such file.
        InputError: the box is broken.
    """
    with open_regular(path, "an mp4") as file:
        place = next((each for each in places(file) if each.kind == b"moov"), None)
        if place is None:
            return None
        if place.end - place.begin > LARGEST_HEADER:
            raise InputError(f"{path}: expected a header of less than {LARGEST_HEADER} bytes, it declares more")
        file.seek(place.begin)
        try:
            return parse(file.read(place.end - place.begin))
        except (struct.error, ValueError, RecursionError) as error:
            raise InputError(f"{path}: expected an mp4, its header is broken") from error


def parse(data: bytes) -> Box:
    """Parse one box.

    Raises:
        InputError: invalid box sizes.
    """
    return next(_boxes(data, b""))


def parse_descriptions(data: bytes, handler: bytes) -> Box:
    """Parse the body of an stsd box.

    Args:
        data: the body.
        handler: type of the track: `vide` or `soun`.

    Raises:
        InputError: invalid box sizes.
    """
    return _box(b"stsd", data, handler)


def _boxes(data: bytes, handler: bytes) -> Iterator[Box]:
    at = 0
    # QuickTime ends some lists of boxes with four zeros.
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        length = length or len(data) - at
        if length < head or at + length > len(data):
            raise InputError(f"a box of {length} bytes at {at} of {len(data)}")
        yield _box(kind, data[at + head : at + length], handler)
        at += length


def _box(kind: bytes, body: bytes, handler: bytes) -> Box:
    if kind == b"mdia":
        # The format of sample descriptions depends on the handler, which precedes them.
        handler = next((body[at + 12 : at + 16] for at in [body.find(b"hdlr")] if at >= 0), b"")
    if kind == b"stsd":
        return Box(kind, body[:8], [_entry(each, handler) for each in _plain(body[8:])])
    if kind not in _CONTAINERS:
        return Box(kind, body)
    own = _CONTAINERS[kind]
    return Box(kind, body[:own], list(_boxes(body[own:], handler)))


def _plain(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise InputError(f"a sample description of {length} bytes at {at} of {len(data)}")
        yield kind, data[at + 8 : at + length]
        at += length


def _entry(entry: tuple[bytes, bytes], handler: bytes) -> Box:
    kind, body = entry
    if handler not in (b"vide", b"soun"):
        return Box(kind, body)
    own = _IMAGE_ENTRY
    if handler == b"soun":
        version = struct.unpack_from(">H", body, 8)[0]
        own = _AUDIO_ENTRY + _AUDIO_EXTRA.get(version, 0)
    return Box(kind, body[:own], list(_boxes(body[own:], handler)))
