"""Pages of Ogg files (RFC 3533): where the last one ends, and whether joined recordings have one format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from avssl.errors import InputError

_HEAD = 27
"""Bytes of a page before its segment table."""
_FIRST = 2
"""Flag of the first page of a stream."""
_VORBIS, _OPUS = b"\x01vorbis", b"OpusHead"


class OggFormat(NamedTuple):
    """Format of a stream by its identification header."""

    codec: str
    channels: int
    sample_rate: int
    """Hz, as decoded."""


def end_of_pages(path: Path, file: IO[bytes]) -> int:
    """Walk over all pages of an Ogg file.

    Args:
        path: the file, for the error.
        file: of it, open for reading; its position changes.

    Returns:
        Offset at which the last page ends; beyond the end of the file if it breaks off.

    Raises:
        InputError: a stream begins later in the file in another format than those of its codec before.
    """
    end, formats = 0, dict[str, OggFormat]()
    begun = False  # multiplexed streams begin together, joined files later
    for first, page_end in _pages(file):
        end, begun = page_end, begun or not first
        found = _format(first)
        if found is None:
            continue
        known = formats.setdefault(found.codec, found)
        if begun and known != found:
            expected, got = (f"{each.channels} channels at {each.sample_rate} Hz" for each in (known, found))
            raise InputError(f"{path}: expected {expected} throughout, then come {got}; convert it to one format")
    return end


def _pages(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Of each page: the beginning of the first packet of a stream, otherwise nothing, and the offset of its end."""
    at, size = 0, file.seek(0, 2)
    while at < size:
        file.seek(at)
        head = file.read(_HEAD + 255 + 64)
        if not head.startswith(b"OggS"):
            return  # other data behind the last page
        segments = head[_HEAD - 1] if len(head) >= _HEAD else 1
        body = _HEAD + segments
        at += body + (sum(head[_HEAD:body]) if len(head) >= body else 1)
        yield head[body:] if len(head) > 5 and head[5] & _FIRST else b"", at


def _format(packet: bytes) -> OggFormat | None:
    if packet.startswith(_VORBIS) and len(packet) >= 16:
        channels, rate = struct.unpack_from("<BI", packet, 11)
        return OggFormat("vorbis", channels, rate)
    if packet.startswith(_OPUS) and len(packet) >= 10:
        return OggFormat("opus", packet[9], 48000)
    return None
