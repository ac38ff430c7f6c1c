"""Check of media files against the sizes that their own headers declare: downloads and copies that broke off."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from avssl.errors import InputError
from avssl.media.chunked_sound import ChunkedSound, read_chunks
from avssl.media.ogg_pages import end_of_pages
from avssl.regular_files import open_regular

MISSING = 1024
"""Declared bytes of sound that may be missing: some writers count the header as sound."""
_XING_FRAME = 64
"""Bytes of an MP3 frame within which its side information ends and the byte count follows."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")


def check_complete(path: Path) -> None:
    """Check that a file holds all bytes that its header declares; formats without such a size pass.

    Sound in wav, RF64, W64, AIFF, CAF and AU; the media of mp4 and mov; the segment of Matroska and WebM; the last page
    of Ogg; the frames of MP3. A size of 0, or the largest that fits, is an undeclared one.

    Args:
        path: any file.

    Raises:
        InputError: it breaks off, is no regular file, or an Ogg file of parts in several formats.
        OSError: it cannot be read.
    """
    with open_regular(path, "sound") as file:
        if sound := read_chunks(file):
            check_stored(path, sound)
            return
        file.seek(0)
        head = file.read(64)
        declared = _declared(path, file, head)
        size = file.seek(0, 2)
    if declared > size:
        raise InputError(f"{path}: expected {declared} bytes, the file breaks off after {size}; fetch or copy it again")


def check_stored(path: Path, sound: ChunkedSound) -> None:
    """Check that the samples that a header declares are there.

    Raises:
        InputError: the file breaks off.
    """
    if sound.declared is not None and sound.stored < sound.declared - MISSING:
        raise InputError(
            f"{path}: expected {sound.declared} bytes of sound, the file breaks off after {sound.stored} "
            f"({sound.stored / sound.declared:.0%}); fetch or copy it again"
        )


def _declared(path: Path, file: IO[bytes], head: bytes) -> int:
    """Least size of a file in bytes by its header; 0 if it declares none."""
    if head[4:8] in _MP4:
        return _end_of_media(file)
    if head[:4] == _EBML:
        return _end_of_segment(head)
    if head[:4] == b"OggS":
        return end_of_pages(path, file)
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and len(head) > 1 and head[1] >= 0xE0):
        return _end_of_mp3(file, head) - MISSING
    return 0


def _end_of_media(file: IO[bytes]) -> int:
    """End of the last mdat box of an mp4, of those whose beginning is there."""
    size, at, end = file.seek(0, 2), 0, 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:
            break
        at += length
        end = at if kind == b"mdat" else end
    return end


def _end_of_mp3(file: IO[bytes], head: bytes) -> int:
    """End of the frames of an MP3 by the byte count of its first frame (Xing, Info); 0 without one."""
    begin = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        begin = 10 + sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    file.seek(begin)
    frame = file.read(_XING_FRAME)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or len(frame) < at + 16:
        return 0
    flags, *numbers = struct.unpack_from(">3I", frame, at + 4)
    counted = numbers[flags & 1] if flags & 2 else 0  # the number of frames, if there, comes first
    return begin + counted if counted else 0


def _end_of_segment(head: bytes) -> int:
    """End of the segment of a Matroska file; 0 if its size is undeclared, as in live recordings."""
    at = head.find(_SEGMENT) + len(_SEGMENT)
    if at < len(_SEGMENT) or at >= len(head) or not head[at]:
        return 0
    width = 9 - head[at].bit_length()
    length = int.from_bytes(head[at : at + width], "big") & (1 << 7 * width) - 1
    return 0 if length == (1 << 7 * width) - 1 else at + width + length
