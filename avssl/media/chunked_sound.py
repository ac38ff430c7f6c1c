"""Chunks of wav, RF64, W64, AIFF, CAF and AU files: declared and stored bytes of sound, and small chunks of the header.

References: Multimedia Programming Interface 1.0 (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Sony Wave64,
Apple's AIFF-C and Core Audio Format specifications.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

LARGEST_CHUNK = 1 << 20
"""Bytes of a header chunk that is kept; larger ones are passed over."""
MOST_CHUNKS = 1000
"""Chunks that are inspected; recorders write a dozen."""
_KEPT = (b"fmt ", b"ds64", b"chan", b"CHAN", b"iXML", b"chna")
_NEAR = 4096
"""Writers of streams declare the largest size that fits, less their header: within this of 2 or 4 GiB."""


class _Form(NamedTuple):
    """Layout of the chunks of one container."""

    begin: int
    """Offset of the first chunk."""
    head: str
    """`struct` format of identifier and length."""
    align: int
    """Chunks begin at multiples of this."""
    sound: bytes
    """Identifier of the chunk with the samples."""
    own: int = 0
    """Bytes of the chunk's head that its length includes."""
    before: int = 0
    """Bytes in the chunk before the samples."""
    kinds: tuple[bytes, ...] = (b"WAVE",)
    """Bytes 8 to 11 of the file."""
    repaired: bool = False
    """Whether libsndfile reads no sound where the length is undeclared."""


_RIFF = _Form(12, "<4sI", 2, b"data", repaired=True)
_FORMS = {
    b"RIFF": _RIFF,
    b"RF64": _RIFF,
    b"BW64": _RIFF,
    b"RIFX": _RIFF._replace(head=">4sI"),
    b"FORM": _Form(12, ">4sI", 2, b"SSND", before=8, kinds=(b"AIFF", b"AIFC")),
    b"caff": _Form(8, ">4sq", 1, b"data", before=4, kinds=(b"desc",)),
    b"riff": _Form(40, "<16sQ", 8, b"data", own=24, kinds=(b"\xa5\xd6\x28\xdb",)),
}
_LARGEST_32 = 2**32 - 1


@dataclass
class ChunkedSound:
    """Sizes and header chunks of one file."""

    size: int
    """Bytes of the file."""
    begin: int = 0
    """Offset of the samples; 0: the file has none."""
    declared: int | None = None
    """Bytes of samples by the header; None: not known when it was written."""
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    """Identifier -> content, of the chunks that describe the channels."""
    repairs: dict[int, bytes] = field(default_factory=dict)
    """Offset -> bytes that libsndfile needs there to read sound of an undeclared length."""

    @property
    def stored(self) -> int:
        """Bytes from the beginning of the samples to the end of the file."""
        return self.size - self.begin


def read_chunks(file: IO[bytes]) -> ChunkedSound | None:
    """Read the chunk sizes of a sound file; None for other formats.

    Args:
        file: open for reading, seekable; its position changes.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(40)
    if head[:4] == b".snd" and len(head) >= 24:
        return _au(head, size)
    form = _FORMS.get(head[:4])
    if form is None or head[8:12] not in form.kinds:
        return None
    found = ChunkedSound(size)
    for kind, at, length in _places(file, form, size, form.begin):
        begin = at + struct.calcsize(form.head)
        if kind == form.sound:
            found.begin = min(begin + form.before, size)
            _measure(file, form, found, at, length)
            if found.declared is None:
                break
        elif kind in _KEPT and 0 <= length <= LARGEST_CHUNK:
            file.seek(begin)
            found.chunks[kind] = struct.pack("<Q", begin) + file.read(length) if kind == b"ds64" else file.read(length)
    return found


def _places(file: IO[bytes], form: _Form, size: int, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Identifier, offset and length of the content of each chunk from an offset to the end of the file."""
    width = struct.calcsize(form.head)
    for _ in range(MOST_CHUNKS):
        if at >= size:
            return
        file.seek(at)
        head = file.read(width)
        if len(head) < width:
            return
        kind, length = struct.unpack(form.head, head)
        yield kind[:4], at, length - form.own
        if length < form.own:
            return
        at = -(-(at + width + length - form.own) // form.align) * form.align


def _measure(file: IO[bytes], form: _Form, found: ChunkedSound, at: int, length: int) -> None:
    """Declared bytes of the samples of the chunk at an offset, or how to read those of an undeclared length."""
    wide = found.chunks.get(b"ds64", b"")
    if length == _LARGEST_32 and len(wide) >= 24:
        length = struct.unpack_from("<Q", wide, 16)[0]
        place, size = struct.unpack_from("<Q", wide)[0] + 8, struct.pack("<Q", found.stored)
    else:
        place, size = at + 4, struct.pack(form.head[0] + "I", min(found.stored, _LARGEST_32))
    if not _is_unknown(length) or (length == 0 and _ends_in_chunks(file, form, at, found.size)):
        found.declared = max(0, length - form.before)
    elif form.repaired:
        found.repairs = {place: size}


def _is_unknown(length: int) -> bool:
    """Whether a length stands for none: 0, -1, or the largest that fits, as encoders write that cannot seek back."""
    return length <= 0 or length >= 2**63 or any(-_NEAR <= length - most <= 0 for most in (2**31, 2**32))


def _ends_in_chunks(file: IO[bytes], form: _Form, at: int, size: int) -> bool:
    """Whether well-formed chunks follow an empty one up to the end of the file: then it is empty indeed."""
    width, end = struct.calcsize(form.head), at
    for kind, begin, length in _places(file, form, size, at):
        if not (kind.isascii() and kind.decode().isprintable()):
            return False
        end = begin + width + length
    return abs(size - end) < form.align


def _au(head: bytes, size: int) -> ChunkedSound:
    begin, length = struct.unpack_from(">II", head, 4)
    found = ChunkedSound(size, min(begin, size))
    if _is_unknown(length):
        found.repairs = {8: struct.pack(">I", _LARGEST_32)}
    else:
        found.declared = length
    return found
