"""Edit the header of a finished mp4 and move it to the front."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from avssl.media.mp4.isobmff import Box, parse, places

BLOCK = 1 << 24
"""Bytes moved at a time."""
_MOST_32 = 2**32 - 1


def finish(path: Path, change: Callable[[Box], None]) -> None:
    """Change the header of an mp4 that has just been written, and put it before the media, in place.

    Args:
        path: a file whose moov box comes last, as muxers leave it.
        change: edits the moov box in place.
    """
    with path.open("r+b") as file:
        found = places(file)
        header = next(place for place in found if place.kind == b"moov")
        front = next(place for place in found if place.kind == b"ftyp").end
        assert header is found[-1], "muxers write the header last"
        file.seek(header.begin)
        moov = parse(file.read(header.end - header.begin))
        change(moov)
        _widen(moov, header.end + BLOCK > _MOST_32)
        shift = len(moov.pack())
        _move(moov, shift)
        _make_room(file, front, header.begin, shift)
        file.seek(front)
        file.write(moov.pack())
        file.truncate(header.begin + shift)


def _widen(moov: Box, needed: bool) -> None:
    """Convert chunk offsets to 64 bits if needed."""
    if not needed:
        return
    for table in moov.all(b"trak", b"mdia", b"minf", b"stbl"):
        for box in table.all(b"stco"):
            offsets = struct.unpack(f">{(len(box.body) - 8) // 4}I", box.body[8:])
            box.kind, box.body = b"co64", box.body[:8] + struct.pack(f">{len(offsets)}Q", *offsets)


def _move(moov: Box, shift: int) -> None:
    for table in moov.all(b"trak", b"mdia", b"minf", b"stbl"):
        for kind, letter, size in ((b"stco", "I", 4), (b"co64", "Q", 8)):
            for box in table.all(kind):
                form = f">{(len(box.body) - 8) // size}{letter}"
                moved = (offset + shift for offset in struct.unpack(form, box.body[8:]))
                box.body = box.body[:8] + struct.pack(form, *moved)


def _make_room(file: BinaryIO, begin: int, end: int, shift: int) -> None:
    """Move a byte range backwards block by block, so that none is overwritten unread."""
    for at in reversed(range(begin, end, BLOCK)):
        file.seek(at)
        block = file.read(min(BLOCK, end - at))
        file.seek(at + shift)
        file.write(block)
