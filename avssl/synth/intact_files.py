"""Check of rendered files that an earlier run left: whole, or cut short or emptied, as by a power cut."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from avssl.errors import InputError
from avssl.media.chunked_sound import read_chunks
from avssl.media.complete_file import check_complete
from avssl.regular_files import open_regular

HEADS = {".wav": (0, (b"RIFF", b"RF64")), ".mp4": (4, (b"ftyp",)), ".avi": (8, (b"AVI ",)), ".parquet": (0, (b"PAR1",))}
"""Suffix -> position and content of the signature."""
TAIL = 256
"""Bytes at the end of compressed video, which are not all 0 where they have reached the disk."""


def is_intact(path: Path) -> bool:
    """Whether a rendered file is there and as long as its header says; a few reads, its content is not decoded.

    Args:
        path: wav, mp4, avi, parquet or npz, as this package writes them; npz is read whole.
    """
    if not path.is_file():
        return False
    if path.suffix == ".npz":
        return _is_whole_archive(path)
    try:
        check_complete(path)
        return _has_ends(path)
    except (InputError, struct.error):
        return False


def _has_ends(path: Path) -> bool:
    """Whether the signature, the samples and the end of a file are there."""
    at, signatures = HEADS[path.suffix]
    with open_regular(path, "a rendered file") as file:
        head = file.read(16)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL))
        tail = file.read()
        file.seek(0)
        sound = read_chunks(file) if path.suffix == ".wav" else None
    if head[at : at + 4] not in signatures:
        return False
    if path.suffix == ".wav":
        return sound is not None and sound.declared is not None and sound.stored >= sound.declared
    if path.suffix == ".avi":  # larger ones go on in a second RIFF
        return any(tail) and size >= 8 + int.from_bytes(head[4:8], "little")
    return tail.endswith(b"PAR1") if path.suffix == ".parquet" else any(tail)


def _is_whole_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
